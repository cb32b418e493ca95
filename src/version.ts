// The version that --version prints; build.js puts package.json's in its place.
declare const TEXTPOKE_VERSION: string | undefined;

export const version: string = typeof TEXTPOKE_VERSION === 'string' ? TEXTPOKE_VERSION : '0.0.0-source';

declare module 'elfy';

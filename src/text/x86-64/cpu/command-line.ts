// The part of a kernel's command line that decides about mitigations.
import { TextpokeError } from '../../../errors.ts';
import type { MitigationOptions } from './facts.ts';

/** Options that change text through features, and are not followed. */
const others =
  /^(nospectre_v1|nospectre_v2|spectre_bhi|spectre_rsb|nopti|pti|mds|tsx|tsx_async_abort|mmio_stale_data|reg_file_data_sampling|tsa|srso|gather_data_sampling|indirect_target_selection|spec_store_bypass_disable|nospec_store_bypass_disable|vmscape|clearcpuid|setcpuid|nosmap|nosmep|nopku|no5lvl|noxsave|noxsaves|nox2apic|nofsgsbase|nousershstk|ibt|fred|cfi|noreplace-smp|nopvspin)\b/;

const retbleed: Readonly<Record<string, MitigationOptions['retbleed']>> = {
  off: 'off',
  stuff: 'stuff',
  auto: undefined,
};
const spectreV2: Readonly<Record<string, MitigationOptions['spectreV2']>> = {
  off: 'off',
  auto: undefined,
  retpoline: 'retpoline',
  'retpoline,generic': 'retpoline',
  'retpoline,lfence': 'lfence',
};

/** Error `usage` for an option that decides about text and is not followed. */
export function mitigationOptions(commandLine: string): MitigationOptions {
  let options: MitigationOptions = { off: false, retbleed: undefined, spectreV2: undefined };
  const refuse = (word: string, known: readonly string[]): never => {
    const which = known.length > 0 ? `; known: ${known.join(', ')}` : '';
    throw new TextpokeError(
      'usage',
      `the option ${JSON.stringify(word)} of the kernel is not followed${which}`,
    );
  };
  for (const word of commandLine.split(/\s+/)) {
    const [, name, value] = /^([^=]+)=(.*)$/.exec(word) ?? [];
    if (name === 'mitigations') {
      if (value !== 'off' && value !== 'auto') refuse(word, ['mitigations=off', 'mitigations=auto']);
      options = { ...options, off: value === 'off' };
    } else if (name === 'retbleed') {
      if (!Object.hasOwn(retbleed, value as string)) refuse(word, Object.keys(retbleed));
      options = { ...options, retbleed: retbleed[value as string] };
    } else if (name === 'spectre_v2') {
      if (!Object.hasOwn(spectreV2, value as string)) refuse(word, Object.keys(spectreV2));
      options = { ...options, spectreV2: spectreV2[value as string] };
    } else if (others.test(word)) refuse(word, []);
  }
  return options;
}

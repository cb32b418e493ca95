// What is known of a processor, before a kernel has made anything of it.

export type Vendor = 'GenuineIntel' | 'AuthenticAMD' | 'HygonGenuine';

export interface CpuFacts {
  /** How a person calls it. */
  readonly name: string;
  readonly vendor: Vendor;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** Bits of CPUID by the kernel's numbers: 32 times the word, plus the bit. */
  readonly bits: ReadonlySet<number>;
  /** The processor tells of its threads and cores by leaf 0xb of CPUID. */
  readonly hasTopologyLeaf: boolean;
  /** A core has several threads. */
  readonly hasThreads: boolean;
  /** What a kernel says of its bugs, by the names of /proc/cpuinfo; undefined: they follow from the tables of the kernel. */
  readonly bugs?: ReadonlySet<string> | undefined;
}

/** The part of the command line that decides about mitigations; undefined: as the kernel decides itself. */
export interface MitigationOptions {
  readonly off: boolean;
  readonly retbleed: 'off' | 'stuff' | undefined;
  readonly spectreV2: 'off' | 'retpoline' | 'lfence' | undefined;
}

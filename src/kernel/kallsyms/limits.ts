// What bounds the work on names that a hostile file holds.

/**
 * Bytes of a decoded name, the letter in front of it included. KSYM_NAME_LEN is 128, and 512 since 6.1
 * (include/linux/kallsyms.h).
 */
export const longestName = 1024;

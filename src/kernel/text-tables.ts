// Sections that list places of a kernel's or a module's code which the kernel patches when it starts or loads the module, beside
// the tables of the kinds (kinds/): arch/x86/kernel/module.c, module_finalize; kernel/trace/ftrace.c.

const names: ReadonlySet<string> = new Set([
  '.altinstructions',
  '.parainstructions',
  '.retpoline_sites',
  '.return_sites',
  '.call_sites',
  '.cfi_sites',
  '.ibt_endbr_seal',
  '__mcount_loc',
  '__patchable_function_entries',
]);

/** runtime_ptr_NAME and so on. */
const constants = /^runtime_(ptr|shift|mask)_/;

/** Whether a section lists places of code. */
export function listsCode(name: string): boolean {
  return names.has(name) || constants.test(name);
}

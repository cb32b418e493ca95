// Completion scripts for shells, made from the command line itself.
import { type Choice, isFileValue, type Part } from './command-line.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/** The hidden command that lists names: what, how they begin, and the words of the command line. */
export const namesCommand = '__names';

/** Values that are names of a file on the line, and what names they are. */
const nameValues: Readonly<Record<string, string>> = {
  key: 'keys',
  pattern: 'any',
  'call=function': 'update',
};
const namesOf = ({ value }: Choice): string | undefined =>
  value === undefined || !Object.hasOwn(nameValues, value) ? undefined : nameValues[value];

const flagsOf = ({ short, long }: Choice): string[] => (short ? [short, long] : [long]);
const completesFiles = ({ value }: Choice) => value !== undefined && isFileValue(value);
const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function bash(parts: readonly Part[]): string {
  const values = parts.flatMap((part) =>
    part.options
      .filter((option) => option.value !== undefined)
      .map((option) => {
        const patterns = flagsOf(option).map((flag) => `${part.name},${flag}`);
        const names = namesOf(option);
        const words =
          names !== undefined
            ? `_textpoke_names ${names}`
            : completesFiles(option)
              ? 'compgen -f -- "$cur"'
              : `compgen -W ${quote(option.choices.join(' '))} -- "$cur"`;
        return `    ${patterns.join(' | ')}) mapfile -t COMPREPLY < <(${words}); return ;;`;
      }),
  );
  const options = parts.map(
    (part) =>
      `    ${part.name}) options=${quote(part.options.flatMap(flagsOf).join(' '))} words=${quote(part.words.join(' '))} ;;`,
  );
  const names = parts.map(({ name }) => name).join(' ');
  const naming = parts.filter(({ takesNames }) => takesNames).map(({ name }) => name);
  return `# bash completion of textpoke
# The line is split at each = as well: what stands in front of it on the line belongs to the name.
_textpoke_names() {
  local begin=$call$cur
  textpoke ${namesCommand} "$1" "$begin" -- "\${COMP_WORDS[@]:1}" 2> /dev/null |
    while IFS= read -r name; do printf '%s\\n' "\${name#"$call"}"; done
}
_textpoke() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= options= words= word call= at=$COMP_CWORD
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
    case $word in -*) ;; *) command=$word && break ;; esac
  done
  if [[ $cur == = ]]; then cur= at=$((at + 1)); fi
  if [[ $at -ge 4 && \${COMP_WORDS[at - 1]} == = && \${COMP_WORDS[at - 2]} != -* ]]; then
    call=\${COMP_WORDS[at - 2]}= prev=\${COMP_WORDS[at - 3]}
  elif [[ $at -ge 3 && \${COMP_WORDS[at - 1]} == = ]]; then
    prev=\${COMP_WORDS[at - 2]}
  fi
  case $command,$prev in
${values.join('\n')}
  esac
  case $command in
    '') options='--help --version' words=${quote(names)} ;;
${options.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ ' ${naming.join(' ')} ' == *" $command "* ]]; then
    mapfile -t COMPREPLY < <(_textpoke_names control)
  elif [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}
complete -o filenames -F _textpoke textpoke
`;
}

function zsh(parts: readonly Part[]): string {
  const text = (value: string) => value.replace(/[\\[\]:]/g, '\\$&');
  const spec = (option: Choice) => {
    const names = namesOf(option);
    const action =
      names !== undefined
        ? ` _textpoke_names ${names}`
        : completesFiles(option)
          ? '_files'
          : `(${option.choices.join(' ')})`;
    const value = option.value === undefined ? '' : `:${text(option.value)}:${action}`;
    return flagsOf(option).map((flag) => quote(`*${flag}[${text(option.description)}]${value}`));
  };
  const cases = parts.map((part) => {
    const words = part.words.length > 0 ? [quote(`1:word:(${part.words.join(' ')})`)] : [];
    const files = part.takesFiles
      ? [quote('*:file:_files')]
      : part.takesNames
        ? [quote('*:name: _textpoke_names control')]
        : [];
    const specs = [...part.options.flatMap(spec), ...words, ...files];
    return `        ${part.name})\n          _arguments \\\n            ${specs.join(' \\\n            ')} ;;`;
  });
  const commands = parts.map(({ name, description }) => quote(`${name}:${description}`));
  return `#compdef textpoke
_textpoke_names() {
  local -a names=(\${(f)"$(textpoke ${namesCommand} $1 "$PREFIX" -- "\${words[@]}" 2> /dev/null)"})
  compadd -S '' -a names
}
_textpoke() {
  local curcontext=$curcontext state line
  local -a commands=(
    ${commands.join('\n    ')}
  )
  _arguments -C '--help[show help]' '--version[show the version]' '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe -t commands command commands ;;
    argument)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
if [[ $funcstack[1] == _textpoke ]]; then _textpoke "$@"; else compdef _textpoke textpoke; fi
`;
}

const fishNames = (what: string | undefined) =>
  quote(
    `(textpoke ${namesCommand} ${what} (commandline -ct | string replace -r '^--[^=]*=' '') -- (commandline -opc)[2..-1] 2> /dev/null)`,
  );

function fish(parts: readonly Part[]): string {
  const lines = ['# fish completion of textpoke', 'complete -c textpoke -n __fish_use_subcommand -f'];
  lines.push('complete -c textpoke -n __fish_use_subcommand -l version -d "show the version"');
  for (const part of parts) {
    const within = `-n ${quote(`__fish_seen_subcommand_from ${part.name}`)}`;
    lines.push(`complete -c textpoke -n __fish_use_subcommand -a ${part.name} -d ${quote(part.description)}`);
    if (!part.takesFiles) lines.push(`complete -c textpoke ${within} -f`);
    if (part.words.length > 0) lines.push(`complete -c textpoke ${within} -a ${quote(part.words.join(' '))}`);
    if (part.takesNames) lines.push(`complete -c textpoke ${within} -a ${fishNames('control')}`);
    for (const option of part.options) {
      const short = option.short ? ` -s ${option.short.slice(1)}` : '';
      const value =
        option.value === undefined
          ? ''
          : namesOf(option) !== undefined
            ? ` -x -a ${fishNames(namesOf(option))}`
            : completesFiles(option)
              ? ' -r -F'
              : ` -x -a ${quote(option.choices.join(' '))}`;
      lines.push(
        `complete -c textpoke ${within}${short} -l ${option.long.slice(2)}${value} -d ${quote(option.description)}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

const makers: Readonly<Record<Shell, (parts: readonly Part[]) => string>> = { bash, zsh, fish };

/** The script for a shell. */
export function completionScript(parts: readonly Part[], shell: Shell): string {
  return makers[shell](parts.map((part) => ({ ...part, options: [...part.options, ...part.common] })));
}

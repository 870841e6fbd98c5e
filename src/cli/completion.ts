/** Scripts that complete the names of commands and flags in a shell. */
import type { Command } from "commander";
import { badArgs } from "./exit.ts";

/** @throws CliError for a shell that is not known */
export function completion(program: Command, shell: string | undefined): string {
  const names = program.commands.map((command) => command.name()).sort();
  const groups = program.commands.filter((command) => command.commands.length > 0);
  const flags = program.options.map((option) => option.long ?? "").filter((flag) => flag !== "");
  switch (shell) {
    case "bash":
    case "zsh":
      return bash(names, groups, flags, shell);
    case "fish":
      return fish(names, groups, flags);
    default:
      throw badArgs("completion needs the name of a shell: bash, zsh or fish");
  }
}

function bash(
  names: readonly string[],
  groups: readonly Command[],
  flags: readonly string[],
  shell: string,
): string {
  const cases = groups.map((group) => {
    const words = group.commands.map((command) => command.name()).join(" ");
    return `    ${group.name()}) words="${words}" ;;`;
  });
  return [
    ...(shell === "zsh" ? ["autoload -U +X bashcompinit && bashcompinit"] : []),
    "_kvctl() {",
    '  local current="$' + '{COMP_WORDS[COMP_CWORD]}" before="$' + '{COMP_WORDS[COMP_CWORD-1]}" words',
    '  case "$before" in',
    ...cases,
    `    *) words="${names.join(" ")}" ;;`,
    "  esac",
    `  [[ "$current" == -* ]] && words="${flags.join(" ")}"`,
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "complete -F _kvctl kvctl",
    "",
  ].join("\n");
}

function fish(names: readonly string[], groups: readonly Command[], flags: readonly string[]): string {
  const inner = groups.map((group) => {
    const words = group.commands.map((command) => command.name()).join(" ");
    return `complete -c kvctl -f -n '__fish_seen_subcommand_from ${group.name()}' -a '${words}'`;
  });
  return [
    `complete -c kvctl -f -n '__fish_use_subcommand' -a '${names.join(" ")}'`,
    ...inner,
    ...flags.map((flag) => `complete -c kvctl -l ${flag.slice(2)}`),
    "",
  ].join("\n");
}

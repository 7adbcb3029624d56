/**
 * Class rules: what the gate does with each verdict class, that is, each set of lists.
 */
import { listName } from '../config/rules.ts'
import type { Config } from '../config/schema.ts'
import type { ClassRule, GateAction } from '../io/gate.ts'
import type { IpTable } from '../tables/ip-table.ts'

/** From the mildest to the strictest. */
const strictness: readonly GateAction[] = ['observe', 'refuse', 'tarpit', 'reset', 'drop']

/** What one list asks for. */
interface ListRule {
  readonly name: string
  readonly action: GateAction
  readonly reply: string
}

/**
 * A rule for each class that the table has now, and one (class 0) for those to come: a host that
 * feedback enters, alone or in new company. The strictest action of a class's lists is taken, with
 * the reply of the first list that asks for it.
 */
export function classRulesOf({ lists }: Config, blacklist: IpTable): readonly ClassRule[] {
  const dynamic: ListRule = {
    name: 'dynamic',
    action: lists.dynamicAction,
    reply: lists.dynamicReply,
  }
  const configured = lists.blacklist.map((list) => ({
    name: listName(list),
    action: list.action,
    reply: list.reply,
  }))
  const byName = new Map([dynamic, ...configured].map((rule) => [rule.name, rule]))
  const { classes } = blacklist.sizes()
  const rules = Array.from({ length: classes }, (_, at) => {
    const verdictClass = at + 1
    const named = blacklist.listsOf(verdictClass).map((name) => byName.get(name) ?? dynamic)
    return ruleOf(verdictClass, named, dynamic)
  })
  return [ruleOf(0, [dynamic], dynamic), ...rules]
}

/**
 * Rules for the moment between the publication of a new table and the rules that are made of it:
 * what either configuration lets pass is let pass, and a class that the table does not have yet is
 * treated as the mildest list. `before` itself where all lists and hosts are treated alike.
 */
export function rulesMeanwhile(
  config: Config,
  blacklist: IpTable,
  before: readonly ClassRule[],
): readonly ClassRule[] {
  const { dynamicAction, blacklist: lists } = config.lists
  const actions = [...lists.map(({ action }) => action), dynamicAction]
  if (new Set([...actions, ...before.map(({ action }) => action)]).size === 1) return before
  const mildest = strictness.find((action) => actions.includes(action)) ?? dynamicAction
  return classRulesOf(config, blacklist).map((rule, at) => {
    const { action, reply } = milder(before[at] ?? before[0] ?? rule, rule)
    return at === 0 ? { ...rule, action: mildest } : { ...rule, action, reply }
  })
}

function milder(one: ClassRule, other: ClassRule): ClassRule {
  return rank(one) <= rank(other) ? one : other
}

function ruleOf(verdictClass: number, lists: readonly ListRule[], otherwise: ListRule): ClassRule {
  const strictest = lists.reduce<ListRule | undefined>(
    (worst, rule) => (worst === undefined || rank(rule) > rank(worst) ? rule : worst),
    undefined,
  )
  const { name, action, reply } = strictest ?? otherwise
  return { verdictClass, action, reply: `${reply.replaceAll('{list}', name)}\r\n` }
}

function rank(rule: { readonly action: GateAction }): number {
  return strictness.indexOf(rule.action)
}

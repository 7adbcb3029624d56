/**
 * MirroredTable: a form in JavaScript with the same prefixes compiled natively beside it.
 *
 * The form keeps the entries, looks them up and explains them; the mirror answers whoever asks for
 * classes, above all the native gate and the serving threads, which know it by its handle. So
 * `lists.blacklist_form` says how a blacklist is held, not how fast its hosts are refused.
 */
import { formatPrefix, newPrefixCell, type PrefixCell } from '../base/ip-address.ts'
import type { PrefixColumns } from '../base/prefix-columns.ts'
import { columnsOf, parseOrThrow } from './entries.ts'
import type {
  AddOptions,
  IpMatch,
  IpOrigin,
  IpTable,
  IpTableForm,
  IpTableFormName,
  IpTableSizes,
  RemoveOptions,
  TableImage,
  VerdictClass,
} from './ip-table.ts'
import { nativeTable } from './native-table.ts'
import { readTextSnapshot } from './text-snapshot.ts'

/** What a form makes of prefixes that it cannot tell apart. */
export interface Widening {
  columns(columns: PrefixColumns): PrefixColumns
  cell(cell: PrefixCell): void
}

const asItIs: Widening = { columns: (columns) => columns, cell: () => {} }

interface MirroredContent {
  readonly kept: TableImage
  readonly mirror: TableImage
}

/** The form, mirrored. Throws OperatingError ADDON_MISSING where the addon does not load. */
export function mirroredForm(kept: IpTableForm, widening: Widening = asItIs): IpTableForm {
  const { form } = kept
  const compile = (columns: PrefixColumns): TableImage => {
    const mirror = nativeTable.compile(widening.columns(columns))
    try {
      return { form, content: { kept: kept.compile(columns), mirror } satisfies MirroredContent }
    } catch (fault) {
      nativeTable.discard(mirror)
      throw fault
    }
  }
  const open = ({ content }: TableImage): IpTable => {
    const both = content as MirroredContent
    const mirror = nativeTable.open(both.mirror)
    try {
      return new MirroredTable(kept, kept.open(both.kept), mirror, widening)
    } catch (fault) {
      mirror.close()
      throw fault
    }
  }
  const fromColumns = (columns: PrefixColumns) => open(compile(columns))
  return {
    form,
    fromPrefixes: (entries) => fromColumns(columnsOf(entries)),
    fromColumns,
    compile,
    open,
    discard: ({ content }) => {
      const both = content as MirroredContent
      kept.discard(both.kept)
      nativeTable.discard(both.mirror)
    },
    load: (path) => fromColumns(readTextSnapshot(path)),
  }
}

class MirroredTable implements IpTable {
  readonly form: IpTableFormName
  readonly handle: number
  readonly #keptForm: IpTableForm
  readonly #kept: IpTable
  readonly #mirror: IpTable
  readonly #widening: Widening
  readonly #cell = newPrefixCell()

  constructor(keptForm: IpTableForm, kept: IpTable, mirror: IpTable, widening: Widening) {
    this.form = kept.form
    this.#keptForm = keptForm
    this.handle = mirror.handle
    this.#kept = kept
    this.#mirror = mirror
    this.#widening = widening
  }

  lookup(address: string): IpMatch | undefined {
    return this.#kept.lookup(address)
  }

  explain(address: string): readonly IpOrigin[] {
    return this.#kept.explain(address)
  }

  lookupClass(address: string): VerdictClass {
    return this.#mirror.lookupClass(address)
  }

  lookupMany(addresses: Uint32Array, classes: Uint16Array): Uint16Array {
    return this.#mirror.lookupMany(addresses, classes)
  }

  lookupMany6(words: Uint32Array, classes: Uint16Array): Uint16Array {
    return this.#mirror.lookupMany6(words, classes)
  }

  listsOf(verdictClass: VerdictClass): readonly string[] {
    return this.#mirror.listsOf(verdictClass)
  }

  add(prefix: string, options: AddOptions): void {
    this.#mirror.add(this.#widened(prefix), options)
    this.#kept.add(prefix, options)
  }

  remove(prefix: string, options: RemoveOptions = {}): void {
    this.#mirror.remove(this.#widened(prefix), options)
    this.#kept.remove(prefix, options)
  }

  /** The mirror first: it alone may have too many classes, and then nothing has changed. */
  replace(image: TableImage): void {
    // Of another form: refused by name.
    if (image.form !== this.form) this.#kept.replace(image)
    const { kept, mirror } = image.content as MirroredContent
    try {
      this.#mirror.replace(mirror)
    } catch (fault) {
      this.#keptForm.discard(kept)
      throw fault
    }
    this.#kept.replace(kept)
  }

  sizes(): IpTableSizes {
    return { ...this.#kept.sizes(), classes: this.#mirror.sizes().classes }
  }

  save(path: string): void {
    this.#kept.save(path)
  }

  close(): void {
    this.#kept.close()
    this.#mirror.close()
  }

  #widened(prefix: string): string {
    const cell = parseOrThrow(prefix, this.#cell)
    this.#widening.cell(cell)
    return formatPrefix(cell.family === 4 ? 4 : 6, cell.words, cell.length)
  }
}

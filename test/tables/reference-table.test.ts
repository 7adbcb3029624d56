import { referenceTable } from '../../src/tables/reference-table.ts'
import { runTableContract } from '../contract/ip-table.ts'

runTableContract({ name: 'text (reference)', newForm: () => referenceTable })

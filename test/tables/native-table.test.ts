import { nativeTable } from '../../src/tables/native-table.ts'
import { runTableContract } from '../contract/ip-table.ts'

runTableContract({ name: 'prefix (native)', newForm: () => nativeTable })

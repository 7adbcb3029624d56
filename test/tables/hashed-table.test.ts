import { hashedForm } from '../../src/tables/hashed-table.ts'
import { runTableContract } from '../contract/ip-table.ts'

runTableContract({ name: 'hashed (LMDB)', newForm: (folder) => hashedForm(`${folder}/hashed`) })

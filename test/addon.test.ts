import { expect, test } from 'vitest'
import { addonFault, loadAddon } from '../src/addon/addon.ts'

test('the addon loads and says which Node-API it was built for', () => {
  expect(addonFault()).toBeUndefined()
  expect(loadAddon()?.['napiVersion']).toBe(8)
})

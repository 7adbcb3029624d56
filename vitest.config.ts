import { defineConfig } from 'vitest/config'

// The addon holds process-wide state, so every test file runs in a process of its own (forks).
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

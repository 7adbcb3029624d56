/**
 * What the main thread and a serving thread tell each other, over one MessagePort. Plain values.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Finding } from '../checks/finding.ts'
import type { EngineToken } from '../io/gate.ts'
import type { Answer, Question } from '../journey/ports.ts'
import type { ThreadLogInit } from '../log/thread-log.ts'
import type { Outcome } from '../tls/api.ts'
import type { EdgeSetup, ThreadPolicies } from './thread.ts'

/** What a serving thread begins with; the ports in it are transferred. */
export interface ThreadBirth {
  readonly setup: EdgeSetup
  readonly log: ThreadLogInit
  readonly port: MessagePort
}

/** Main thread to serving thread. */
export type ThreadOrder =
  | { readonly kind: 'configure'; readonly policies: ThreadPolicies }
  | { readonly kind: 'stress'; readonly isStressed: boolean }
  | { readonly kind: 'stop' }
  | { readonly kind: 'answer'; readonly number: number; readonly answer: Answer }
  | { readonly kind: 'deferred'; readonly number: number }

/** Serving thread to main thread. */
export type ThreadReport =
  | { readonly kind: 'ready'; readonly token: EngineToken; readonly threadId: number }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'trusted-name'; readonly number: number; readonly address: string }
  | { readonly kind: 'examine'; readonly number: number; readonly question: Question }
  | { readonly kind: 'forget'; readonly number: number }
  | { readonly kind: 'finding'; readonly address: string; readonly finding: Finding }
  | { readonly kind: 'delivered'; readonly addresses: readonly string[] }
  | { readonly kind: 'tls-daemon'; readonly standing: Outcome }
  | { readonly kind: 'written'; readonly addresses: readonly string[] }

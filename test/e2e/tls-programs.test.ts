/**
 * openssl s_client and sslscan as clients of the listener, tshark on the wire below a shared
 * session.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { expect, test } from 'vitest'
import { describeWith, findProgram, needsProgram, needsRoot } from '../support/needs.ts'
import { runProgram } from '../support/programs.ts'
import { startRecordingMailhost } from '../support/recording-mailhost.ts'
import { startPeer } from '../tls/support/peer.ts'
import { certificateOf, tlsScene } from '../tls/support/scene.ts'

const scene = tlsScene()

/** A program's output as it comes, and its input. */
class Dialogue {
  output = ''
  readonly child: ChildProcess
  #wake: () => void = () => undefined
  #isOver = false

  constructor(name: string, words: readonly string[]) {
    this.child = spawn(findProgram(name) ?? name, [...words])
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.output += String(chunk)
        this.#wake()
      })
    }
    this.child.once('close', () => {
      this.#isOver = true
      this.#wake()
    })
  }

  say(line: string): void {
    this.child.stdin?.write(line)
  }

  /** Resolves when the output matches, or the program has ended. */
  async shows(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.output) && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    expect(this.output).toMatch(pattern)
  }
}

describeWith([needsProgram('openssl')], 'openssl s_client --starttls smtp', () => {
  const checks = ['-verify_return_error', '-verify_hostname', 'mx.example.test']

  async function proxyWithTls() {
    const mailhost = await startRecordingMailhost()
    scene.atEnd(() => mailhost.stop())
    const tls = certificateOf(scene.service)
    const proxy = await scene.proxyBefore(mailhost.port, { tls })
    return { mailhost, proxy }
  }

  function client(port: number, ...words: readonly string[]): Dialogue {
    const to = ['s_client', '-connect', `127.0.0.1:${port}`, '-starttls', 'smtp', '-crlf']
    const dialogue = new Dialogue('openssl', [...to, '-CAfile', scene.authority.caFile, ...words])
    scene.atEnd(() => dialogue.child.kill('SIGKILL'))
    return dialogue
  }

  for (const version of ['tls1_2', 'tls1_3']) {
    test(`${version}: the certificate is proved, a message goes in, no compression`, async () => {
      const { mailhost, proxy } = await proxyWithTls()
      const ssl = client(proxy.port, `-${version}`, ...checks, '-ign_eof')
      await ssl.shows(/Verify return code: 0 \(ok\)/)
      expect(ssl.output).toContain('Compression: NONE')
      ssl.say('EHLO c\nMAIL FROM:<a@x.example>\n')
      await ssl.shows(/250 2\.1\.0/)
      // s_client takes a line that begins with R for an order of its own.
      ssl.say('rcpt to:<b@example.test>\n')
      await ssl.shows(/250 2\.0\.0 Ok/)
      ssl.say('DATA\n')
      await ssl.shows(/^354 /m)
      ssl.say('Subject: x\n\nby s_client\n.\n')
      await ssl.shows(/250 2\.0\.0 Recorded/)
      ssl.say('quit\n')
      await ssl.shows(/^221 /m)
      expect(mailhost.messages[0]?.wire.toString()).toContain('by s_client')
    })
  }

  test('a second handshake inside TLS 1.2 is refused', async () => {
    const { proxy } = await proxyWithTls()
    const ssl = client(proxy.port, '-tls1_2')
    await ssl.shows(/Verify return code: 0 \(ok\)/)
    ssl.say('R\n')
    await ssl.shows(/RENEGOTIATING/)
    await ssl.shows(/no renegotiation/i)
  })

  for (const version of ['tls1', 'tls1_1']) {
    test(`${version} is refused`, async () => {
      const { proxy } = await proxyWithTls()
      const ssl = client(proxy.port, `-${version}`, '-cipher', 'DEFAULT@SECLEVEL=0')
      await ssl.shows(/alert protocol version|unsupported protocol|no protocols available/)
    })
  }
})

describeWith([needsProgram('tshark', 'openssl'), needsRoot()], 'tshark on loopback', () => {
  test('A5: a capture of a shared session holds TLS records and no plain text', async () => {
    const peer = await startPeer(scene.authority.issue('peer.test'))
    scene.atEnd(() => peer.close())
    const daemon = await scene.daemon()
    const file = `${scene.authority.folder}/shared.pcap`
    const only = ['-f', `tcp port ${peer.port}`, '-w', file]
    const capture = new Dialogue('tshark', ['-i', 'lo', ...only])
    scene.atEnd(() => capture.child.kill('SIGKILL'))
    await capture.shows(/Capturing on/)
    const secret = 'a very secret text that nobody on the wire may read '.repeat(50)
    const app = scene.application(daemon.socket)
    const to = {
      host: '127.0.0.1',
      port: peer.port,
      ca: scene.authority.ca,
      servername: 'peer.test',
    }
    // Until the capture has seen a handshake: tshark says that it begins before it does.
    let frames = ''
    for (let round = 0; !frames.includes('Client Hello'); round++) {
      expect(round).toBeLessThan(50)
      const options = { shared: `captured-${round}`, ...to }
      await app.ask({ do: 'new', session: `s${round}`, options })
      await app.ask({ do: 'connect', session: `s${round}` })
      const data = Buffer.from(secret).toString('base64')
      await app.ask({ do: 'write', session: `s${round}`, data })
      await peer.receives((round + 1) * secret.length)
      const decode = ['-r', file, '-d', `tcp.port==${peer.port},tls`]
      frames = (await runProgram('tshark', [...decode, '-V'])).output
    }
    expect(peer.received().toString()).toContain(secret)
    expect(frames).toContain('Application Data')
    const found = await runProgram('tshark', ['-r', file, '-Y', 'frame contains "secret"'])
    expect(found.output).not.toMatch(/127\.0\.0\.1/)
    const all = await runProgram('tshark', ['-r', file])
    expect(all.output).toMatch(/127\.0\.0\.1/)
  })
})

describeWith([needsProgram('sslscan')], 'sslscan', () => {
  test('the listener offers TLS 1.2 and 1.3 with forward secrecy, and nothing older or weaker', async () => {
    const tls = certificateOf(scene.service)
    const proxy = await scene.proxyBefore(9, { tls })
    const scan = await runProgram('sslscan', [
      '--no-colour',
      '--starttls-smtp',
      `127.0.0.1:${proxy.port}`,
    ])
    for (const old of ['SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1']) {
      expect(scan.output).toMatch(new RegExp(`${old}\\s+disabled`))
    }
    for (const good of ['TLSv1.2', 'TLSv1.3']) {
      expect(scan.output).toMatch(new RegExp(`${good}\\s+enabled`))
    }
    const accepted = scan.output.match(/^(Preferred|Accepted) .*$/gm) ?? []
    expect(accepted.length).toBeGreaterThan(2)
    expect(accepted.filter((line) => !/TLS_|ECDHE-.*(GCM|CHACHA20)/.test(line))).toEqual([])
    expect(scan.output).not.toMatch(/(?<!not )vulnerable|RC4|3DES|ffdhe/)
    expect(scan.output).toContain('Server supports TLS Fallback SCSV')
    expect(scan.output).toContain('Session renegotiation not supported')
    expect(scan.output).toMatch(/ECC Key Strength:\s+128/)
    // Bits of strength of every key exchange that is taken.
    const groups = scan.output.match(/^TLSv1\.[23] +\d+ bits +(secp|x25519).*$/gm) ?? []
    expect(groups.length).toBeGreaterThan(2)
    expect(groups.filter((line) => Number(/(\d+) bits/.exec(line)?.[1]) < 128)).toEqual([])
  })
})

/**
 * Internet: a world brought to life on 127.0.0.0/8, and taken down without a trace.
 *
 *   const internet = await startInternet(town)
 *   … point a proxy at internet.nameServer, internet.smtpPort and internet.mailhost.endpoint …
 *   await sendLetter('127.0.0.1', proxyPort, { from: '127.0.2.7', … })
 *   internet.sessionsAt('127.0.1.1')      what that host was asked
 *   await internet.close()
 */
import { MailSink } from './mail-sink.ts'
import { NameServer } from './name-server.ts'
import { type SessionNote, SmtpHost } from './smtp-host.ts'
import type { World } from './world.ts'

/** A running world. */
export interface Internet {
  readonly world: World
  /** The port on which every host of the world has its SMTP server: `probe.port`. */
  readonly smtpPort: number
  /** `127.0.0.1:port` of the DNS server: `dns.servers`. */
  readonly nameServer: string
  readonly dns: NameServer
  readonly mailhost: MailSink
  /** Everything that a host was asked, in order of connections. */
  sessionsAt(address: string): readonly SessionNote[]
  /** Every session of every host. */
  allSessions(): readonly SessionNote[]
  close(): Promise<void>
}

/** Starts every server of the world. */
export async function startInternet(world: World): Promise<Internet> {
  const dns = new NameServer(world)
  const nameServer = await dns.listen()
  const { address, domains, users } = world.mailhost ?? { address: '127.0.0.1', domains: [] }
  const mailhost = new MailSink(domains, users)
  await mailhost.listen(address)
  const { smtpPort, hosts } = await startHosts(world)
  return {
    world,
    smtpPort,
    nameServer,
    dns,
    mailhost,
    sessionsAt: (at) => hosts.get(at)?.sessions ?? [],
    allSessions: () => [...hosts.values()].flatMap((host) => host.sessions),
    close: async () => {
      await Promise.all([...hosts.values()].map((host) => host.close()))
      await Promise.all([dns.close(), mailhost.close()])
    },
  }
}

interface Hosts {
  readonly smtpPort: number
  readonly hosts: ReadonlyMap<string, SmtpHost>
}

/** All hosts on one port: the first takes a free one; all begin again where another has it. */
async function startHosts(world: World): Promise<Hosts> {
  for (let attempt = 0; ; attempt++) {
    const hosts = new Map<string, SmtpHost>()
    let smtpPort = 0
    try {
      for (const [address, host] of Object.entries(world.hosts)) {
        if (host.smtp === 'none') continue
        const server = new SmtpHost(address, host.name ?? address, host.smtp, world)
        smtpPort = await server.listen(smtpPort)
        hosts.set(address, server)
      }
      return { smtpPort, hosts }
    } catch (error) {
      await Promise.all([...hosts.values()].map((host) => host.close()))
      if (attempt === 9) throw error
    }
  }
}

/**
 * The peer: nodemailer's smtp-server, which refuses in its onConnect hook. nodemailer-server PORT.
 */
import { SMTPServer } from 'smtp-server'

const server = new SMTPServer({
  disableReverseLookup: true,
  maxClients: 10_000,
  onConnect: (_session, callback) => {
    callback(Object.assign(new Error('5.7.1 Refused'), { responseCode: 554 }))
  },
})
server.on('error', () => {})
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))

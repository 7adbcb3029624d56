/**
 * TCP options of another process's sockets, as the kernel has them: its descriptors are borrowed by
 * pidfd_getfd(2), which needs the rights of a debugger.
 */
import { findProgram, needsRoot } from './needs.ts'
import { runProgram } from './programs.ts'

/** One established TCP socket. */
export interface SocketOptions {
  readonly localPort: number
  readonly peerPort: number
  readonly isNoDelay: boolean
}

/** 434 and 438 are pidfd_open and pidfd_getfd on every machine of Linux. */
const script = `
import ctypes, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
handle = libc.syscall(434, pid, 0)
found = []
for name in os.listdir('/proc/%d/fd' % pid):
    fd = libc.syscall(438, handle, int(name), 0)
    if fd < 0:
        if ctypes.get_errno() == 9: continue
        sys.exit('pidfd_getfd: %s' % os.strerror(ctypes.get_errno()))
    try:
        one = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        continue
    try:
        if one.family == socket.AF_INET:
            delay = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            found.append({'localPort': one.getsockname()[1], 'peerPort': one.getpeername()[1],
                          'isNoDelay': delay != 0})
    except OSError:
        pass
print(json.dumps(found))
`

/** Reason why descriptors cannot be borrowed here, or undefined. */
export async function needsBorrowing(): Promise<string | undefined> {
  if (findProgram('python3') === undefined) return 'python3 is not installed'
  // The programs have no core dumps: their descriptors are root's alone.
  if (needsRoot() !== undefined) return needsRoot()
  const { status, output } = await runProgram('python3', ['-c', script, String(process.pid)])
  return status === 0 ? undefined : `descriptors cannot be borrowed: ${output.trim()}`
}

/** The established TCP sockets of IPv4 that the process holds. */
export async function socketOptionsOf(pid: number): Promise<readonly SocketOptions[]> {
  const { status, output } = await runProgram('python3', ['-c', script, String(pid)])
  if (status !== 0) throw new Error(output)
  return JSON.parse(output)
}

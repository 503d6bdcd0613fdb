// Asks a port whether anybody is there: a refusal is the kernel's word that nobody is.
import { connect } from 'node:net'

export type ProbePort = (address: { host: string; port: number }) => Promise<'port-open' | 'port-refused'>

export const probePort: ProbePort = address =>
  new Promise(resolve => {
    const socket = connect(address)
    const answer = (type: 'port-open' | 'port-refused'): void => {
      socket.destroy()
      resolve(type)
    }
    socket.on('connect', () => answer('port-open'))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      answer(error.code === 'ECONNREFUSED' ? 'port-refused' : 'port-open'),
    )
  })

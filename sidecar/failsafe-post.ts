// One question to another candidate's pod port, on a connection of its own.
import { request as httpRequest } from 'node:http'
import type { Clock } from '../shared/clock.ts'
import { MAX_QUESTION_BYTES } from './failsafe-question.ts'
import type { Address } from './standbys.ts'

/** @throws Error when there is no answer in time */
export type PostQuestion = (
  address: Address,
  body: string,
  limit: { clock: Clock; timeoutMs: number },
) => Promise<{ status: number; text: string }>

export const postQuestion: PostQuestion = (address, body, { clock, timeoutMs }) =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }
    const request = httpRequest({ ...address, method: 'POST', path: '/failsafe', headers, agent: false })
    const end = (act: () => void): void => {
      cancel()
      request.destroy()
      act()
    }
    const fail = (error: Error): void => end(() => reject(error))
    const cancel = clock.after(timeoutMs, () => fail(new Error(`nothing within ${timeoutMs} ms`)))
    request.on('error', fail)
    request.on('response', response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
        if (text.length > MAX_QUESTION_BYTES) fail(new Error('too long an answer'))
      })
      response.on('error', fail)
      response.on('end', () => end(() => resolve({ status: response.statusCode ?? 0, text })))
    })
    request.end(body)
  })

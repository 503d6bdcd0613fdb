// A certificate authority and a server certificate, as the webhook makes them.
import { makeAuthority, makeServer } from '../../webhook/authority.ts'

export type TestPair = { certPem: string; keyPem: string; caPem: string }

export const SERVER_NAME = 'flink-ha-webhook.flink-ha.svc'

export const makeTestPair = async (names: readonly string[] = [SERVER_NAME]): Promise<TestPair> => {
  const nowMs = Date.now()
  const authority = await makeAuthority(nowMs)
  const server = await makeServer(authority, names, nowMs)
  return { ...server, caPem: authority.certPem }
}

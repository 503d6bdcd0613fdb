import { Gauge, Registry } from 'prom-client'
import t from 'tap'
import { StatusPort } from '../../webhook/status-port.ts'

t.test('ready says why it is not, alive says yes all the same, metrics are those of the registry', async t => {
  const registry = new Registry()
  new Gauge({ name: 'a_gauge', help: 'help', registers: [registry] }).set(7)
  let problems = ['no certificate yet', 'facts of the cluster: refused']
  const status = new StatusPort({ registry, notReady: () => problems })
  const port = await status.listen(0, '127.0.0.1')
  t.teardown(() => status.close())
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return [response.status, await response.text()]
  }
  t.same(await get('/healthz'), [200, 'ok\n'])
  t.same(await get('/readyz'), [503, 'no certificate yet\nfacts of the cluster: refused\n'])
  problems = []
  t.same(await get('/readyz'), [200, 'ok\n'])
  t.match(await get('/metrics'), [200, /a_gauge 7/])
  t.match(await get('/mutate'), [404, /only/])
})

// The wall's clock set by an hour, under a whole sidecar that leads and one that waits.
import t from 'tap'
import { systemClock } from '../../shared/clock.ts'
import { HandMadeJvm, holderIn, PATH } from '../world/hand-made-jvm.ts'
import { LOCK, TEST_TIMINGS, TestSidecar } from '../world/sidecar.ts'
import { stage, until } from '../world/stage.ts'

const HOUR_US = 3_600_000_000

for (const [way, stepUs] of [
  ['forward', HOUR_US],
  ['back', -HOUR_US],
] as const)
  t.test(`a clock that is set ${way} by an hour changes no leader, and no JVM notices`, async t => {
    let offsetUs = 0
    const clock = { ...systemClock, wallUs: () => systemClock.wallUs() + offsetUs }
    const { api, sidecar, jvm, real } = await stage(t, { clock })
    await jvm.lead()
    const other = new HandMadeJvm('jvm-2')
    await other.start()
    const waiting = new TestSidecar({ apiUrl: api.url, name: 'jm-1', jvmPort: other.port, clock })
    await waiting.start()
    other.url = waiting.url
    t.teardown(async () => {
      await waiting.crash()
      await other.die()
    })
    // Not awaited: it is held until its pod leads, or for 8 s.
    void other.ask('GET', `${PATH}/${LOCK}`).catch(() => {})
    await until(() => waiting.candidate.standing && waiting.candidate.lock?.record?.holder === 'jm-0_uid')
    const { token } = sidecar.candidate
    const renewTime = (): string => sidecar.candidate.lock?.record?.renewTime ?? ''

    offsetUs = stepUs
    const hour = new Date((systemClock.wallUs() + stepUs) / 1000).toISOString().slice(0, 13)
    await until(() => renewTime().startsWith(hour))
    const end = Date.now() + TEST_TIMINGS.leaseMs + 2 * TEST_TIMINGS.retryMs
    let asked = 0
    while (Date.now() < end) {
      const told = await jvm.ask('GET', `${PATH}/${LOCK}`)
      if (holderIn(told.body) !== 'jvm-1') t.fail(`it is told ${holderIn(told.body)}`)
      if ((await jvm.claim('1')).status !== 200) t.fail('a renewal is refused')
      if (!sidecar.candidate.leading() || waiting.candidate.leading()) t.fail('the leader changed')
      asked++
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    t.ok(asked > 10, `asked ${asked} times, for longer than a lease`)
    t.equal(sidecar.candidate.token, token)
    t.match(real().metadata.annotations?.['flink-ha.io/token'], String(token))
    const text = await sidecar.metrics.registry.metrics()
    t.match(text, /flink_ha_terms_total\{event="begun",reason="elected"\} 1/)
    t.notMatch(text, /event="ended"/)
    const leader = (await (await fetch(`${waiting.url}/leader`)).json()) as { name: string }
    t.equal(leader.name, 'jm-0', 'and the standby tells so')
  })

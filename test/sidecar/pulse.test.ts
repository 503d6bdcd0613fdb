// A process that was stopped: what waited in its sockets is as old as its sleep.
import t from 'tap'
import { Pulse } from '../../sidecar/pulse.ts'

/** Timers that fire late fire after what waited. */
class SleepyClock {
  nowMs = 0
  #timers: { atMs: number; run: () => void }[] = []

  monoMs = (): number => this.nowMs
  wallUs = (): number => 0
  after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { atMs: this.nowMs + delayMs, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(one => one !== timer)
    }
  }
  fire(): void {
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs)
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs)
    for (const { run } of due) run()
  }
  run(ms: number): void {
    for (let i = 0; i < ms; i += 100) {
      this.nowMs += 100
      this.fire()
    }
  }
}

t.test('whoever begins long after it was made begins awake', async t => {
  const clock = new SleepyClock()
  const pulse = new Pulse(clock)
  clock.run(20_000)
  pulse.start()
  t.equal(pulse.heardAtMs(), 20_000)
})

t.test('awake, what is heard is news; after a sleep it is as old as that, until all that waited was heard', async t => {
  const clock = new SleepyClock()
  const pulse = new Pulse(clock)
  pulse.start()
  clock.run(10_500)
  t.equal(pulse.heardAtMs(), 10_500)
  clock.nowMs += 100_000
  t.equal(pulse.heardAtMs(), 10_000, 'what waited is heard before the late timer')
  clock.fire()
  t.equal(pulse.heardAtMs(), 10_000, 'and after it')
  clock.run(900)
  t.equal(pulse.heardAtMs(), 10_000)
  clock.run(200)
  t.equal(pulse.heardAtMs(), 111_600)
  pulse.stop()
  clock.run(10_000)
  t.equal(pulse.heardAtMs(), 111_500, 'stopped it tells its last beat')
})

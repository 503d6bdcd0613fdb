// JobManager pods with wall clocks that can be set, each by itself (clock-step.c says how).
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Agent } from '../live/agent.ts'
import { nowMs, type Pod, run } from '../live/cluster.ts'
import { access, flinkImage, jobManagers, type Setup, services, storagePath, taskManager } from '../live/manifests.ts'
import type { Prelude } from '../live/scene.ts'

const FOLDER = '/clock'
const folderOf = (namespace: string): string => `${storagePath(namespace)}${FOLDER}`

/** Needs a C compiler here. */
export const withClocks =
  (setup: Setup): Prelude =>
  async (namespace, node) => {
    const agent = await Agent.start(namespace, node, flinkImage(setup.flink))
    const folder = folderOf(namespace.name)
    const library = (await compiled()).toString('base64')
    await agent.shell(
      `mkdir -p -m 0777 ${folder} && chmod 0777 ${folder} && echo ${library} | base64 -d > ${folder}/clock-step.so`,
    )
    const pods = jobManagers(namespace.name, node, setup)
    const { spec } = pods.spec.template
    for (const container of [...spec.containers, ...('initContainers' in spec ? spec.initContainers : [])]) {
      const ip = container.name === 'jobmanager' ? 'POD_IP' : 'FLINK_HA_POD_IP'
      const env: object[] = container.env
      env.push({ name: 'CLOCK_STEP_FILE', value: `${FOLDER}/$(${ip})` })
      env.push({ name: 'LD_PRELOAD', value: `${FOLDER}/clock-step.so` })
      const mounts: object[] = container.volumeMounts
      mounts.push({ name: 'clock', mountPath: FOLDER })
    }
    const volumes: object[] = spec.volumes
    volumes.push({ name: 'clock', hostPath: { path: folder } })
    const taskManagers = taskManager(namespace.name, node, setup)
    return { agent, objects: [...access, ...(setup.mode === 'builtin' ? [] : services), pods, taskManagers] }
  }

const compiled = async (): Promise<Buffer> => {
  const source = fileURLToPath(new URL('clock-step.c', import.meta.url))
  const library = join(await mkdtemp(join(tmpdir(), 'clock-step-')), 'clock-step.so')
  await run('cc', ['-shared', '-fPIC', '-O2', '-Wall', '-o', library, source, '-ldl'])
  return await readFile(library)
}

/** Sets the wall clock of a pod so many seconds before the node's; when. */
export const stepClock = async (agent: Agent, namespace: string, pod: Pod, seconds: number): Promise<number> => {
  const number = Buffer.alloc(8)
  number.writeBigInt64LE(BigInt(seconds))
  const octal = [...number].map(byte => `\\0${byte.toString(8).padStart(3, '0')}`).join('')
  const file = `${folderOf(namespace)}/${pod.ip}`
  // In place: the processes have it mapped.
  await agent.shell(`[ -f ${file} ] && printf '%b' '${octal}' 1<> ${file}`)
  return nowMs()
}

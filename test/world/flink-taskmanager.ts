// A TaskManager (or the command line client) of Flink as the ConfigMap API sees it.
import { FlinkProcess } from './flink-process.ts'

/** LIST and WATCH, and nothing else, ever. */
export class FlinkTaskManagerClient extends FlinkProcess {
  /** A stopping TaskManager sends nothing more than a dying one. */
  async close(): Promise<void> {
    this.kill()
  }
}

// node peers.mjs PACKAGE FOLDER FILE ROUNDS: read FILE with PACKAGE from FOLDER.
// Prints the segments it found and the CPU seconds of its best round, the first not counted.
import { createReadStream, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [name, folder, file, rounds] = process.argv.slice(2)
const library = createRequire(`${folder}/`)(name)

const readers = {
  'node-x12': async () => {
    const interchange = new library.X12Parser().parse(readFileSync(file, 'latin1'))
    let segments = 2 // ISA and IEA; of a group GS and GE, of a set ST and SE
    for (const group of interchange.functionalGroups) {
      segments += 2
      for (const set of group.transactions) segments += set.segments.length + 2
    }
    return segments
  },
  'x12-parser': async () => {
    let segments = 0
    for await (const segment of createReadStream(file).pipe(new library.X12parser())) segments += segment.name ? 1 : 0
    return segments
  },
}

let segments = await readers[name]()
let best = Infinity
for (let round = 0; round < Number(rounds); round++) {
  const before = process.cpuUsage()
  segments = await readers[name]()
  const used = process.cpuUsage(before)
  best = Math.min(best, (used.user + used.system) / 1e6)
}
process.stdout.write(JSON.stringify({ segments, cpu_s: best }))

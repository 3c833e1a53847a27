// libas2 0.8 as a peer, answering the questions that peer_program.py describes:
//     node [--security-revert=CVE-2023-46809] libas2_peer.cjs FOLDER_OF_KEYS      with NODE_PATH naming its node_modules
// Every layer, receipt and signature is the library's own; what it needs help with is marked "peculiarity" and explained
// in peculiarities.py. The flag lets Node 18 and 20 open RSA PKCS #1 v1.5, which is what AS2 has; for a test peer on loopback only.
'use strict'
const fs = require('fs'), http = require('http'), https = require('https'), crypto = require('crypto')
const path = require('path'), readline = require('readline')
const { AS2Composer, AS2Parser } = require('libas2')
const { AS2SignedData } = require('libas2/dist/src/AS2Crypto/AS2SignedData')
const pkijs = require('pkijs/build/index')

const folder = process.argv[2]
const pem = name => fs.readFileSync(path.join(folder, name))
const block = (name, label) => new RegExp(`-----BEGIN ${label}-----[^]*?-----END ${label}-----\\s*`).exec(pem(name).toString())[0]
const inbox = {}, receipts = {}, sent = {}
let terms = {}, waiting = []

// peculiarity: it encrypts with RSA-OAEP and SHA-512 whatever is agreed
const addRecipient = pkijs.EnvelopedData.prototype.addRecipientByCertificate
pkijs.EnvelopedData.prototype.addRecipientByCertificate = function (certificate) {
  return addRecipient.call(this, certificate, { oaepHashAlgorithm: terms.oaep_hash || 'SHA-512' }, 1)
}

// peculiarity: it keeps no MIC of what it sends
let signedLast = null
const sign = AS2SignedData.prototype.sign
AS2SignedData.prototype.sign = async function (options) {
  const made = await sign.call(this, options)
  signedLast = Buffer.from(this.digestInfo.digest).toString('base64')
  return made
}

// peculiarity: it takes octets for characters, and 100 KB for the longest message
const octets = node => {
  if (typeof node.raw === 'string') node.raw = Buffer.from(node.raw, 'latin1')
  for (const child of node.childNodes) octets(child)
  return node
}
const parseText = AS2Parser.parse
AS2Parser.parse = async content =>
  octets(await parseText.call(AS2Parser, Buffer.isBuffer(content) ? content.toString('latin1') : content))

const micalg = { sha1: 'sha-1', sha256: 'sha-256', sha384: 'sha-384', sha512: 'sha-512' }
const ciphers = { des_ede3_cbc: 'des-EDE3-CBC', aes128_cbc: 'aes128-CBC', aes256_cbc: 'aes256-CBC' }

const agreement = (opens, signsReceipt) => ({
  host: {
    name: terms.name, id: terms.name, url: terms.receipt_url,
    certificate: block(terms.key, 'CERTIFICATE'), privateKey: block(terms.key, 'PRIVATE KEY'),
    decrypt: opens, sign: terms.signed ? micalg[terms.digest] : false,
    mdn: terms.receipt === 'none' ? undefined
      : { async: terms.receipt === 'async', signing: micalg[terms.digest] }
  },
  partner: {
    name: terms.partner, id: terms.partner, url: terms.url, file: 'EDIX12',
    certificate: block(terms.partner_certificate, 'CERTIFICATE'),
    encrypt: terms.encrypted ? ciphers[terms.cipher] : false, verify: terms.signed,
    mdn: { async: false, signing: signsReceipt ? micalg[terms.digest] : false }
  }
})

const split = buffer => {
  const end = buffer.indexOf('\r\n\r\n'), headers = {}
  for (const line of buffer.slice(0, end).toString('latin1').replace(/\r\n[ \t]+/g, ' ').split('\r\n')) {
    const colon = line.indexOf(':')
    headers[line.slice(0, colon)] = line.slice(colon + 1).trim()
  }
  return { headers, body: buffer.slice(end + 4) }
}

const parse = (rawHeaders, body) => {
  let head = ''
  for (let i = 0; i < rawHeaders.length; i += 2) head += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`
  return AS2Parser.parse(Buffer.concat([Buffer.from(head + '\r\n', 'latin1'), body]))
}

const post = (url, headers, body) => new Promise((resolve, reject) => {
  const secure = url.startsWith('https:') ? {
    ca: terms.trusted ? pem(terms.trusted) : undefined,
    cert: terms.client ? pem(terms.client) : undefined, key: terms.client ? pem(terms.client) : undefined
  } : {}
  const request = (url.startsWith('https:') ? https : http).request(
    url, { method: 'POST', agent: false, headers: { ...headers, 'Content-Length': body.length }, ...secure }, answer => {
      const pieces = []
      answer.on('data', piece => pieces.push(piece))
      answer.on('end', () => resolve({ status: answer.statusCode, rawHeaders: answer.rawHeaders, body: Buffer.concat(pieces) }))
    })
  request.on('error', reject)
  request.end(body)
})

async function judged (rawHeaders, body) {
  const node = await parse(rawHeaders, body)
  const signed = /multipart\/signed/i.test(String(node.contentType))
  if (!signed && ['signed', 'async'].includes(terms.receipt)) return { verdict: 'not signed' }
  const said = await node.dispositionIn(signed ? { cert: block(terms.partner_certificate, 'CERTIFICATE') } : undefined)
  const { disposition, originalMessageId, receivedContentMic } = said.notification
  const mic = sent[originalMessageId]
  return {
    about: originalMessageId,
    verdict: disposition.processed && !disposition.description ? 'processed'
      : `${disposition.processed ? 'processed' : 'failed'}/${(disposition.description || {}).type}`,
    mic_agrees: mic && receivedContentMic ? mic === receivedContentMic.mic : null
  }
}

async function receive (request, body, answer) {
  const type = String(request.headers['content-type'])
  const asked = request.headers['disposition-notification-to'] !== undefined
  if (!asked && /multipart\/(report|signed)/.test(type) && body.includes('disposition-notification')) {
    const verdict = await judged(request.rawHeaders, body)
    receipts[verdict.about] = verdict
    return answer.writeHead(200, { 'Content-Length': 0 }).end()
  }
  const node = await parse(request.rawHeaders, body)
  const signsReceipt = request.headers['disposition-notification-options'] !== undefined
  const opens = /pkcs7-mime/.test(type)
  const { contentNode, dispositionNode, disposition } = await node.dispositionOut({ agreement: agreement(opens, signsReceipt) })
  const said = disposition.notification
  let content = contentNode && contentNode.content ? Buffer.from(contentNode.content) : Buffer.alloc(0)
  // peculiarity: the line end before a boundary is left on the content, although it belongs to the boundary
  if (terms.signed) content = content.subarray(0, content.length - 2)
  inbox[request.headers['message-id']] = {
    verdict: said.disposition.processed ? 'processed' : `failed: ${(said.disposition.description || {}).text}`,
    sha256: crypto.createHash('sha256').update(content).digest('hex'), size: content.length,
    mic: said.receivedContentMic ? said.receivedContentMic.mic : null
  }
  if (!asked) return answer.writeHead(200, { 'Content-Length': 0 }).end()
  const made = split(await dispositionNode.build())
  const url = request.headers['receipt-delivery-option']
  if (url) {
    waiting.push({ url, ...made })
    return answer.writeHead(200, { 'Content-Length': 0 }).end()
  }
  answer.writeHead(200, { ...made.headers, 'Content-Length': made.body.length }).end(made.body)
}

async function send ({ file, content_type: contentType, altered }) {
  const message = { filename: path.basename(file), contentType, content: fs.readFileSync(file) }
  signedLast = null
  const made = await new AS2Composer({ message, agreement: agreement(false, false) }).compile()
  const { headers, body } = split(await made.build()) // buildObject() goes through UTF-8 and destroys binary content
  if (altered) body[body.length >> 1] ^= 1
  sent[made.messageId()] = signedLast
  const answer = await post(terms.url, headers, body)
  const waits = answer.status === 200 && terms.receipt === 'signed'
  return {
    message_id: made.messageId(), status: answer.status, mic: signedLast,
    receipt: waits ? await judged(answer.rawHeaders, answer.body) : null
  }
}

async function settle () {
  const due = waiting
  waiting = []
  const statuses = []
  for (const { url, headers, body } of due) statuses.push((await post(url, headers, body)).status)
  return { statuses }
}

async function answered (question) {
  switch (question.do) {
    case 'agree': terms = question.terms; return {}
    case 'send': return send(question)
    case 'settle': return settle()
    case 'inbox': return inbox[question.message_id] || {}
    case 'receipt': return receipts[question.message_id] || {}
    default: throw new Error(`nobody asks ${question.do}`)
  }
}

function listen (kind) {
  const taken = (request, answer) => {
    const pieces = []
    request.on('data', piece => pieces.push(piece))
    request.on('end', () => receive(request, Buffer.concat(pieces), answer).catch(error => {
      console.error(error)
      const text = Buffer.from(String(error && error.message))
      answer.writeHead(500, { 'Content-Length': text.length }).end(text)
    }))
  }
  const shown = kind === 'https-self' ? 'tls-self.pem' : 'tls-server.pem'
  const server = kind === 'http' ? http.createServer(taken) : https.createServer({
    key: pem(shown), cert: pem(shown), requestCert: kind === 'mtls', rejectUnauthorized: kind === 'mtls',
    ca: kind === 'mtls' ? pem('tls-client-authority.pem') : undefined
  }, taken)
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve([kind, server.address().port])))
}

async function main () {
  const say = answer => process.stdout.write(JSON.stringify(answer) + '\n')
  const kinds = ['http', 'https-self', 'https-ca', 'mtls']
  say({ ports: Object.fromEntries(await Promise.all(kinds.map(listen))) })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      say(await answered(JSON.parse(line)))
    } catch (error) {
      console.error(error)
      say({ error: String(error && error.message) })
    }
  }
  process.exit(0)
}

main()

// Certificates made at test time: an authority, and what it signs for this machine, for another host, and too long ago.
// Written out in DER, because node:crypto signs no certificates and openssl may not be installed.

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface KeyAndCertificate {
  readonly cert: string
  readonly key: string
}

export interface TlsMaterial {
  /** The authority's certificate, for clients to verify with. */
  readonly ca: string
  /** For localhost and 127.0.0.1. */
  readonly valid: KeyAndCertificate
  readonly wrongHost: KeyAndCertificate
  readonly expired: KeyAndCertificate
  /** An authority that signed none of them. */
  readonly otherCa: string
}

export function tlsMaterial(): TlsMaterial {
  const authority = makeAuthority('tidemark test authority')
  const here = ['localhost', '127.0.0.1']
  return {
    ca: authority.cert,
    valid: authority.issue(here),
    wrongHost: authority.issue(['db.example.com']),
    expired: authority.issue(here, -30, -1),
    otherCa: makeAuthority('another authority').cert,
  }
}

interface Authority {
  readonly cert: string
  /** Days are counted from now. */
  issue(hosts: readonly string[], fromDays?: number, toDays?: number, commonName?: string): KeyAndCertificate
}

function makeAuthority(name: string): Authority {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const limits = [
    extension([0x55, 0x1d, 0x13], sequence(tagged(0x01, Buffer.from([0xff]))), true),
    extension([0x55, 0x1d, 0x0f], Buffer.from([0x03, 0x02, 0x02, 0x04]), true),
  ]
  return {
    cert: certificate({ issuer: name, subject: name, key: own.publicKey, signer: own.privateKey, days: [-60, 60], extensions: limits }),
    issue(hosts, fromDays = -1, toDays = 60, commonName = hosts[0] ?? 'localhost') {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const names = hosts.map((host) =>
        isIPv4(host) ? tagged(0x87, Buffer.from(host.split('.').map(Number))) : tagged(0x82, Buffer.from(host)),
      )
      const cert = certificate({
        issuer: name,
        subject: commonName,
        key: publicKey,
        signer: own.privateKey,
        days: [fromDays, toDays],
        extensions: [extension([0x55, 0x1d, 0x11], sequence(...names), false)],
      })
      return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
    },
  }
}

interface CertificateContent {
  readonly issuer: string
  readonly subject: string
  readonly key: KeyObject
  readonly signer: KeyObject
  readonly days: readonly [number, number]
  readonly extensions: readonly Buffer[]
}

function certificate(content: CertificateContent): string {
  const algorithm = sequence(tagged(0x06, Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])))
  const version = tagged(0xa0, tagged(0x02, Buffer.from([2])))
  const serial = tagged(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)]))
  const body = sequence(
    version,
    serial,
    algorithm,
    commonName(content.issuer),
    sequence(...content.days.map(time)),
    commonName(content.subject),
    content.key.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...content.extensions)),
  )
  const signature = sign('sha256', body, content.signer)
  const whole = sequence(body, algorithm, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

function commonName(text: string): Buffer {
  return sequence(tagged(0x31, sequence(tagged(0x06, Buffer.from([0x55, 0x04, 0x03])), tagged(0x0c, Buffer.from(text)))))
}

function time(daysFromNow: number): Buffer {
  const iso = new Date(Date.now() + daysFromNow * 86_400_000).toISOString()
  return tagged(0x18, Buffer.from(`${iso.replaceAll(/[-:T]|\.\d+Z/g, '')}Z`))
}

function extension(id: readonly number[], value: Buffer, critical: boolean): Buffer {
  const flag = critical ? [tagged(0x01, Buffer.from([0xff]))] : []
  return sequence(tagged(0x06, Buffer.from(id)), ...flag, tagged(0x04, value))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts))
}

function tagged(tag: number, value: Buffer): Buffer {
  const { length } = value
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), value])
}

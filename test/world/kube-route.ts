// From a request's path to what it is about, and the discovery documents that tell clients (kubectl too) what there is.
import { apiVersionOf, RESOURCES, type Resource } from './kube-resources.ts'

export type Route = {
  resource: Resource
  namespace: string | undefined
  name: string | undefined
  subresource: string | undefined
}

/** undefined: the path belongs to no resource that is served. */
export const routeOf = (pathname: string): Route | undefined => {
  const parts = partsOf(pathname)
  if (parts === undefined) return undefined
  const rest = parts[0] === 'api' ? parts.slice(2) : parts.slice(3)
  const group = parts[0] === 'api' ? '' : parts[1]
  const version = parts[0] === 'api' ? parts[1] : parts[2]
  const find = (plural: string | undefined, namespaced: boolean): Resource | undefined =>
    RESOURCES.find(
      of => of.group === group && of.version === version && of.plural === plural && of.namespaced === namespaced,
    )
  if (rest[0] === 'namespaces' && rest.length >= 3) {
    const resource = find(rest[2], true)
    if (resource !== undefined && rest.length <= 5)
      return { resource, namespace: rest[1], name: rest[3], subresource: rest[4] }
  }
  const ofCluster = find(rest[0], false)
  if (ofCluster !== undefined && rest.length <= 3)
    return { resource: ofCluster, namespace: undefined, name: rest[1], subresource: rest[2] }
  const ofAll = rest.length === 1 ? find(rest[0], true) : undefined
  return ofAll && { resource: ofAll, namespace: undefined, name: undefined, subresource: undefined }
}

const partsOf = (pathname: string): string[] | undefined => {
  try {
    const parts = pathname.split('/').slice(1).map(decodeURIComponent)
    return parts.every(part => part !== '') && (parts[0] === 'api' || parts[0] === 'apis') ? parts : undefined
  } catch {
    return undefined
  }
}

/** A path in a group and version that are served is answered by the API, any other as a page that is not there. */
export const isServed = (pathname: string): boolean =>
  RESOURCES.some(of => pathname.startsWith(`${rootOf(of)}/`) || pathname === rootOf(of))

const rootOf = (of: Resource): string => (of.group === '' ? `/api/${of.version}` : `/apis/${apiVersionOf(of)}`)

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

/** `/version`, `/api`, `/apis` and below; undefined for any other path. */
export const discoveryOf = (pathname: string): object | undefined => {
  if (pathname === '/version') return { major: '1', minor: '34', gitVersion: 'v1.34.0', platform: 'embedded' }
  if (pathname === '/api') return { kind: 'APIVersions', versions: ['v1'] }
  const groups = [...new Set(RESOURCES.map(({ group }) => group))].filter(group => group !== '').map(groupDocument)
  if (pathname === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups }
  const group = groups.find(({ name }) => pathname === `/apis/${name}`)
  if (group !== undefined) return { kind: 'APIGroup', apiVersion: 'v1', ...group }
  const found = RESOURCES.filter(of => rootOf(of) === pathname)
  if (found[0] === undefined) return undefined
  const resources = found.map(of => ({
    name: of.plural,
    singularName: of.kind.toLowerCase(),
    namespaced: of.namespaced,
    kind: of.kind,
    verbs: VERBS,
    ...(of.plural === 'configmaps' && { shortNames: ['cm'] }),
    ...(of.plural === 'pods' && { shortNames: ['po'] }),
  }))
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(found[0]), resources }
}

const groupDocument = (name: string) => {
  const version = { groupVersion: `${name}/v1`, version: 'v1' }
  return { name, versions: [version], preferredVersion: version }
}

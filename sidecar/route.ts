// A path of the API's ConfigMaps: whose namespace it names, and which object, if one.
export type ConfigMapRoute = { namespace: string; name: string | undefined }

const PATH = /^\/api\/v1\/namespaces\/([^/]+)\/configmaps(?:\/([^/]+))?$/

/** undefined: the path is of something else. */
export const configMapRoute = (pathname: string): ConfigMapRoute | undefined => {
  const match = PATH.exec(pathname)
  return match === null ? undefined : { namespace: decode(match[1]), name: match[2] && decode(match[2]) }
}

const decode = (part: string | undefined): string => {
  try {
    return decodeURIComponent(part ?? '')
  } catch {
    return part ?? ''
  }
}

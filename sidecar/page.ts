// The status page, for a browser that asks for `GET /`: who leads, the candidates, the terms. Follows the event stream.
export const STATUS_PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>flink-ha</title><style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}#leader{font-size:2rem;font-weight:600;margin:.5rem 0 0;overflow-wrap:anywhere}
#facts{color:GrayText;margin:0 0 1.5rem}h2{font-size:1rem;margin:1.5rem 0 .25rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}td,th{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884;overflow-wrap:anywhere}
th{font-weight:500;color:GrayText}.none{color:#c33}
</style></head><body>
<h1>Leader of <span id="cluster">…</span></h1><p id="leader">…</p><p id="facts"></p>
<h2>Components</h2><table id="components"></table>
<h2>Jobs</h2><table id="jobs"></table>
<h2>Candidates</h2><table id="members"></table>
<h2>Terms seen by this pod</h2><table id="history"></table>
<script>
const at=id=>document.getElementById(id)
const rows=(id,head,list)=>{const t=at(id);t.replaceChildren();const add=(cells,tag)=>{const r=t.insertRow();for(const c of cells){const e=document.createElement(tag);e.textContent=c??'–';r.append(e)}};add(head,'th');for(const l of list)add(l,'td')}
const load=async path=>{const r=await fetch(path);return r.ok?r.json():[]}
const more=async()=>{
rows('members',['pod','role','healthy','address'],(await load('members')).map(m=>[m.name,m.role,m.healthy?'yes':'no',m.address]))
rows('jobs',['job','state','checkpoints','next','size'],(await load('jobs')).map(j=>[j.name?j.name+' ('+j.id+')':j.id,j.state,j.checkpoints.slice(0,3).join(', '),j.checkpointCounter,j.sizePercent+' %'+(j.problems.length?', '+j.problems.length+' problems':'')]))
rows('history',['pod','token','from','to','reason'],(await load('history')).reverse().map(h=>[h.name,h.token,h.from,h.to??'now',h.reason]))}
const show=l=>{at('cluster').textContent=l.clusterId||'(no cluster yet)';at('leader').textContent=l.name??'nobody is known to lead';at('leader').className=l.name?'':'none'
at('facts').textContent=l.name?'token '+l.token+' · '+l.transitions+' changes of leader · last change '+(l.lastUpdate??'before this sidecar started')+(l.isLeader?' · this pod':''):''
const c=l.components;rows('components',['component','address','session'],[['restserver',c.restserver],['dispatcher',c.dispatcher],['resourcemanager',c.resourcemanager],...Object.entries(c.jobs).map(([id,j])=>['job '+id,j])].filter(x=>x[1]).map(([n,x])=>[n,x.address,x.sessionId]))
more()}
new EventSource('leader/stream').onmessage=e=>show(JSON.parse(e.data))
</script></body></html>
`

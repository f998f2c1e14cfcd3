// An MCP server of the reference SDK on a free port of 127.0.0.1, at /mcp. MODE says how it speaks:
//   stateful   Streamable HTTP with sessions
//   resumable  the same, with an event store: a connection that breaks can be resumed
//   json       the same as stateful, with JSON for responses instead of events
//   stateless  Streamable HTTP without sessions
//   sse        HTTP with SSE, the transport of 2024-11-05
//   modern     2026-07-28, of version 2 of the SDK
// It writes a line of JSON with its port. GET /seen replies with the requests so far, POST /forget ends all sessions as a
// restart would, POST /change tells all hosts that the tools changed, POST /restart ends all sessions and connections.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import * as v2 from '@modelcontextprotocol/server';
import { z } from 'zod';

const mode = process.env.MODE;
const seen = [];
let cancelled = 0;
let hanging = 0;
const text = (s) => ({ content: [{ type: 'text', text: s }] });

// An event store that gives its events numbers.
class Events {
	all = [];
	async storeEvent(streamId, message) {
		this.all.push({ streamId, message });
		return `${this.all.length}`;
	}
	async getStreamIdForEventId(id) {
		return this.all[Number(id) - 1]?.streamId;
	}
	async replayEventsAfter(id, { send }) {
		const stream = this.all[Number(id) - 1]?.streamId;
		for (let i = Number(id); i < this.all.length; i++) {
			if (this.all[i].streamId === stream) await send(`${i + 1}`, this.all[i].message);
		}
		return stream;
	}
}

function newServer() {
	const server = new McpServer({ name: 'peer', version: '1' }, { capabilities: { tools: { listChanged: true }, logging: {} } });
	server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text: t }) => text(t));
	server.registerTool('size', { inputSchema: { text: z.string() } }, ({ text: t }) => text(String(t.length)));
	server.registerTool('big', { inputSchema: { size: z.number() } }, ({ size }) => text('x'.repeat(size)));
	server.registerTool('steps', { inputSchema: { count: z.number() } }, async ({ count }, extra) => {
		for (let progress = 1; progress <= count; progress++) {
			await extra.sendNotification({
				method: 'notifications/progress', params: { progressToken: extra._meta.progressToken, progress, total: count },
			});
		}
		return text('done');
	});
	server.registerTool('ask', {}, async () => {
		const { action, content } = await server.server.elicitInput({
			message: 'Your name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
		});
		return text(`${action} ${content?.name}`);
	});
	server.registerTool('sample', {}, async (extra) => {
		const { content } = await server.server.createMessage({
			messages: [{ role: 'user', content: { type: 'text', text: 'Say hello' } }], maxTokens: 5,
		});
		return text(content.text);
	});
	server.registerTool('hang', {}, (extra) => new Promise((_, reject) => {
		hanging++;
		extra.signal.addEventListener('abort', () => { cancelled++; reject(new Error('aborted')); });
	}));
	server.registerTool('cancelled', {}, () => text(String(cancelled)));
	server.registerTool('hanging', {}, () => text(String(hanging)));
	server.registerTool('leave', {}, async (extra) => { // the connection ends, and the response comes afterwards
		extra.closeSSEStream?.();
		await new Promise((resolve) => setTimeout(resolve, 50));
		return text('came back');
	});
	return server;
}

function modernServer() {
	const server = new v2.McpServer({ name: 'modern', version: '1' });
	server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text: t }) => text(t));
	server.registerTool('größe', { inputSchema: z.object({ text: z.string() }) }, ({ text: t }) => text(String(t.length)));
	server.registerTool('region', {
		inputSchema: v2.fromJsonSchema({
			type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
		}),
	}, ({ region }) => text(region));
	server.registerTool('steps', { inputSchema: z.object({ count: z.number() }) }, async ({ count }, ctx) => {
		for (let progress = 1; progress <= count; progress++) {
			await ctx.mcpReq.notify({
				method: 'notifications/progress',
				params: { progressToken: ctx.mcpReq._meta.progressToken, progress, total: count },
			});
		}
		return text('done');
	});
	server.registerTool('hang', { inputSchema: z.object({}) }, (_, ctx) => new Promise((_resolve, reject) => {
		hanging++;
		ctx.mcpReq.signal.addEventListener('abort', () => { cancelled++; reject(new Error('aborted')); });
	}));
	server.registerTool('cancelled', { inputSchema: z.object({}) }, () => text(String(cancelled)));
	server.registerTool('hanging', { inputSchema: z.object({}) }, () => text(String(hanging)));
	return server;
}

let sessions = new Map();
const modern = mode === 'modern'
	? getRequestListener(v2.createMcpHandler(modernServer, { legacy: 'reject', maxRequestBodySize: 1 << 26 }).fetch) : null;

async function streamable(req, res) {
	const id = req.headers['mcp-session-id'];
	if (id && !sessions.has(id)) {
		res.writeHead(404, { 'content-type': 'application/json' });
		res.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32001, message: 'Session not found' }, id: null }));
		return;
	}
	let session = sessions.get(id);
	if (!session) {
		const server = newServer();
		const transport = new StreamableHTTPServerTransport({
			sessionIdGenerator: mode === 'stateless' ? undefined : randomUUID,
			enableJsonResponse: mode === 'json',
			eventStore: mode === 'resumable' ? new Events() : undefined,
			retryInterval: 20,
			maxRequestBodySize: 1 << 26,
			onsessioninitialized: (id) => sessions.set(id, { server, transport }),
			onsessionclosed: (id) => sessions.delete(id),
		});
		session = { server, transport };
		await server.connect(transport);
	}
	if (mode === 'stateless' && req.method === 'GET') {
		res.writeHead(405).end();
		return;
	}
	await session.transport.handleRequest(req, res, await body(req));
}

async function body(req) {
	if (req.method !== 'POST') return undefined;
	const chunks = [];
	for await (const chunk of req) chunks.push(chunk);
	return JSON.parse(Buffer.concat(chunks).toString());
}

async function sse(req, res, url) {
	if (url.pathname === '/mcp' && req.method === 'GET') {
		const server = newServer();
		const transport = new SSEServerTransport('/messages', res);
		sessions.set(transport.sessionId, { server, transport });
		await server.connect(transport);
		return;
	}
	const session = sessions.get(url.searchParams.get('sessionId'));
	if (url.pathname !== '/messages' || !session) {
		res.writeHead(req.method === 'POST' && url.pathname === '/mcp' ? 405 : 404).end('no such page');
		return;
	}
	await session.transport.handlePostMessage(req, res, await body(req));
}

const sockets = new Set();
const http = createServer(async (req, res) => {
	const url = new URL(req.url, 'http://127.0.0.1');
	try {
		switch (url.pathname) {
		case '/seen':
			res.end(JSON.stringify(seen));
			return;
		case '/forget':
			for (const { server } of sessions.values()) await server.close();
			sessions = new Map();
			res.end();
			return;
		case '/change':
			for (const { server } of sessions.values()) server.sendToolListChanged();
			res.end();
			return;
		case '/restart': { // all at once: a host that is back already must not be cut off again
			const ended = sessions;
			sessions = new Map();
			for (const socket of sockets) if (socket !== req.socket) socket.destroy();
			for (const { server } of ended.values()) await server.close();
			res.end();
			return;
		}
		}
		seen.push({
			method: req.method, url: req.url, session: req.headers['mcp-session-id'], version: req.headers['mcp-protocol-version'],
			lastEvent: req.headers['last-event-id'], rpc: req.headers['mcp-method'], name: req.headers['mcp-name'],
			region: req.headers['mcp-param-region'], authorization: req.headers['authorization'],
		});
		if (mode === 'modern') await modern(req, res);
		else if (mode === 'sse') await sse(req, res, url);
		else await streamable(req, res);
	} catch (err) {
		console.error(err);
		if (!res.headersSent) res.writeHead(500);
		res.end();
	}
});
http.on('connection', (socket) => {
	sockets.add(socket);
	socket.on('close', () => sockets.delete(socket));
});
http.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: http.address().port })));
process.stdin.resume().on('end', () => process.exit());

// What the lab changes in a WebdriverIO configuration: the server, the device, and a reporter beside its own.
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

const url = process.env.QGJOB_APPIUM_URL;
const device = JSON.parse(process.env.QGJOB_APPIUM_CAPS || 'null');
// On the command line they would take the place of all that a configuration names.
const chosen = JSON.parse(process.env.QGJOB_WDIO_REPORTERS || 'null');
let configured = [];

/** What tells the tests of one of several capabilities from others' of the same name, whichever of them start. */
function labelOf(number) {
  if (configured.length < 2) return '';
  const names = configured.map((caps) => {
    const own = caps.alwaysMatch || caps;
    return own.browserName || own.platformName;
  });
  const name = names[number];
  return name && names.filter((other) => other === name).length === 1 ? name : number;
}

/** One JSON line for each event that matters; a worker that is killed leaves what it wrote. */
class QgjobLines extends EventEmitter {
  isSynchronised = true;

  constructor() {
    super();
    const file = path.join(process.env.QGJOB_WDIO_LINES, `${process.pid}.jsonl`);
    let where = {};
    const put = (event, stats = {}) => {
      const error = stats.error || (stats.errors || [])[0];
      const line = {
        event,
        title: stats.title,
        parent: stats.fullTitle || stats.parent,
        suite: stats.parent,
        file: stats.file,
        ms: stats.duration ?? stats._duration,
        type: stats.type,
        message: error ? String(error.stack || error.message || error).slice(0, 8192) : stats.pendingReason,
        at: Date.now(),
        ...where,
      };
      fs.appendFileSync(file, JSON.stringify(line) + '\n');
    };
    for (const event of ['test:start', 'test:pass', 'test:fail', 'test:retry', 'test:pending', 'hook:end']) {
      this.on(event, (stats) => {
        if (event !== 'hook:end' || stats.error) put(event, stats);
      });
    }
    this.on('runner:start', ({ cid }) => {
      // A worker has one of the configuration's capabilities, the first number of its id.
      const number = String(cid).split('-')[0];
      where = { caps: number, label: labelOf(number) };
      put('runner:start');
    });
    this.on('runner:end', (stats) => put('runner:end', { error: stats.error && { message: String(stats.error) } }));
  }
}

const nameOf = (service) => (Array.isArray(service) ? service[0] : service);

export function inLab(user) {
  if (!user || typeof user !== 'object') throw new Error('the wdio.conf exports no config');
  const config = { ...user, reporters: [...(chosen || user.reporters || []), [QgjobLines, {}]] };
  const all = Array.isArray(user.capabilities) ? user.capabilities : [];
  if (!url || !device) {
    configured = all;
    return config;
  }
  const server = new URL(url);
  const platform = (caps) => String((caps.alwaysMatch || caps).platformName || '').toLowerCase();
  const wanted = String(device.platformName).toLowerCase();
  const users = { ...(all.find((caps) => platform(caps) === wanted) || {}) };
  const own = { ...(users.alwaysMatch || users) };
  // The build is installed; what names another device or another file gives way.
  for (const name of ['app', 'deviceName', 'avd', 'platformVersion', 'fullReset', 'otherApps']) {
    delete own[name];
    delete own[`appium:${name}`];
  }
  delete own['appium:options'];
  return {
    ...config,
    protocol: server.protocol.replace(':', ''),
    hostname: server.hostname,
    port: Number(server.port),
    path: server.pathname,
    maxInstances: 1,
    services: (user.services || []).filter((service) => nameOf(service) !== 'appium'),
    capabilities: [{ ...own, ...device, 'wdio:enforceWebDriverClassic': true }],
  };
}

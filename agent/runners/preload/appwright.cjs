// Loaded before AppWright, with --require: has its local devices be the one that this job holds.
//
// AppWright's own code opens the session; what is replaced is what goes before it (installing an Appium
// driver, starting a server, reading the app's file) and which session is asked for.
'use strict';

const Module = require('node:module');
const path = require('node:path');

const url = process.env.QGJOB_APPIUM_URL;
const capabilities = JSON.parse(process.env.QGJOB_APPIUM_CAPS || 'null');

const say = (text) => process.stderr.write(`qgjob: ${text}\n`);
const platform = capabilities ? String(capabilities.platformName).toLowerCase() : '';
const isLocal = (project) =>
  project && project.use && project.use.device && ['emulator', 'local-device'].includes(project.use.device.provider);
const isOurs = (project) => isLocal(project) && (!project.use.platform || project.use.platform === platform);

function connection() {
  const server = new URL(url);
  return {
    protocol: server.protocol.replace(':', ''),
    hostname: server.hostname,
    port: Number(server.port),
    path: server.pathname,
    logLevel: 'warn',
    capabilities: { alwaysMatch: capabilities, firstMatch: [{}] },
  };
}

function provider(name) {
  return (exported) => {
    const kind = exported[name];
    if (!kind || typeof kind.prototype.createConfig !== 'function') {
      say(`this version of AppWright has no ${name} as it was known; it starts an Appium server of its own`);
      return exported;
    }
    kind.prototype.globalSetup = async () => {};
    kind.prototype.createConfig = async () => connection();
    return exported;
  };
}

const changes = {
  'providers/emulator/index.js': provider('EmulatorProvider'),
  'providers/local/index.js': provider('LocalDeviceProvider'),
  'providers/appium.js': (exported) =>
    Object.assign(exported, {
      installDriver: async () => {},
      startAppiumServer: async () => {},
      isEmulatorInstalled: async () => true,
      getActiveAndroidDevices: async () => 1,
      getConnectedIOSDeviceUDID: async () => capabilities['appium:udid'],
      getApkDetails: async () => ({ packageName: capabilities['appium:appPackage'] }),
      getAppBundleId: async () => capabilities['appium:bundleId'],
    }),
  // It insists on --project, which choosing the project by the device makes unnecessary.
  'global-setup.js': (exported) => {
    const original = exported.default;
    exported.default = async (config) => {
      const named = process.argv.some((word) => word === '--project' || word.startsWith('--project='));
      if (!named && config.projects.some((project) => !isLocal(project))) return original(config);
      if (named && process.argv.includes('--project')) return original(config);
    };
    return exported;
  },
  'config.js': (exported) => {
    const original = exported.defineConfig;
    exported.defineConfig = (config) => {
      const named = process.argv.some((word) => word === '--project' || word.startsWith('--project='));
      const worker = Boolean(process.env.TEST_WORKER_INDEX);
      const projects = config.projects || [];
      const ours = projects.find(isOurs);
      if (named || !ours) return original(config);
      if (!worker && projects.length > 1) say(`project ${ours.name}, for the device is ${platform}`);
      return original({ ...config, projects: [ours] });
    };
    return exported;
  },
};

if (url && capabilities) {
  const load = Module._load;
  const changed = new WeakSet();
  Module._load = function (request, parent, ...rest) {
    const exported = load.call(this, request, parent, ...rest);
    if (exported === null || typeof exported !== 'object' || changed.has(exported)) return exported;
    let file;
    try {
      file = Module._resolveFilename(request, parent);
    } catch {
      return exported;
    }
    const marker = `${path.sep}appwright${path.sep}dist${path.sep}`;
    const at = file.lastIndexOf(marker);
    const change = at < 0 ? undefined : changes[file.slice(at + marker.length).split(path.sep).join('/')];
    if (!change) return exported;
    changed.add(exported);
    return change(exported);
  };
}

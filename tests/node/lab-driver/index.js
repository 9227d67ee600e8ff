'use strict';

// Loaded by the real Appium server. The device is one screen of elements by their id or text; the app's
// package decides what is on it, and com.lab.broken does not start.
const { BaseDriver, errors } = require('appium/driver');

const KEY = 'element-6066-11e4-a52e-4f735466cecf';

class LabDriver extends BaseDriver {
  desiredCapConstraints = { udid: { isString: true, presence: true }, appPackage: { isString: true } };
  locatorStrategies = ['id', 'accessibility id', '-android uiautomator', 'xpath'];

  async createSession(...args) {
    const answer = await super.createSession(...args);
    if (this.opts.appPackage === 'com.lab.broken') {
      await this.deleteSession();
      throw new errors.SessionNotCreatedError('the app does not start');
    }
    this.screen = { title: `Hello from ${this.opts.appPackage}`, udid: this.opts.udid, name: '' };
    return answer;
  }

  async findElOrEls(strategy, selector, multiple) {
    const [, kind, value] = /(text|textContains|resourceIdMatches|resourceId)\("(.*)"\)/.exec(selector) || [];
    const found = Object.keys(this.screen).filter((id) =>
      (kind || '').startsWith('text') ? this.screen[id].includes(value) : id === (value || selector)
    );
    if (multiple) return found.map((id) => ({ [KEY]: id }));
    if (!found.length) throw new errors.NoSuchElementError();
    return { [KEY]: found[0] };
  }

  async getText(id) { return this.screen[id]; }
  async elementDisplayed() { return true; }
  async elementEnabled() { return true; }
  async click(id) { this.screen.title = `clicked ${id}`; }
  async setValue(text, id) { this.screen[id] = Array.isArray(text) ? text.join('') : text; }
  async getPageSource() { return '<lab/>'; }
  async getWindowRect() { return { x: 0, y: 0, width: 100, height: 200 }; }
  async getScreenshot() {
    return 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  }
}

module.exports = { LabDriver };

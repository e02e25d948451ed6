/**
 * Takes a picture of a page in the Chromium that is installed, in at most 256 colours.
 *
 * `node shoot.mjs CHROMIUM ADDRESS FILE`. A page with an error, or one that is not drawn within a minute, throws.
 */
import { chromium } from "playwright-core";
import sharp from "sharp";

const [executablePath, address, file] = /** @type {[string, string, string]} */ (process.argv.slice(2));
const WIDTH = 1280;
const SCALE = 1.25;
const DEADLINE_MS = 60_000;

const browser = await chromium.launch({ executablePath, args: ["--disable-gpu", "--disable-quic"] });
try {
  const page = await browser.newPage({
    viewport: { width: WIDTH, height: 720 },
    deviceScaleFactor: SCALE,
    locale: "en-US",
    timezoneId: "UTC",
  });
  /** @type {Error[]} */
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  await page.goto(address, { waitUntil: "load", timeout: DEADLINE_MS });
  await Promise.race([
    page.waitForSelector("body[data-ready]", { timeout: DEADLINE_MS }),
    page.waitForEvent("pageerror", { timeout: DEADLINE_MS }),
  ]);
  await page.waitForLoadState("networkidle", { timeout: DEADLINE_MS });
  if (errors[0]) {
    throw errors[0];
  }
  // Grafana does not draw below the window: a table stays blank there.
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width: WIDTH, height });
  const picture = await page.screenshot({ fullPage: true });
  const written = await sharp(picture).png({ palette: true, effort: 10 }).toFile(file);
  console.log(`${file}: ${written.width} x ${written.height}, ${written.size} bytes`);
} finally {
  await browser.close();
}

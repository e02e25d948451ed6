/**
 * Draws one committed board as Grafana does when it is opened, from the Prometheus that serves this page.
 *
 * The address says which: `?board=impact&from=…&to=…` in milliseconds, `scrape` in seconds, `sections` for the number
 * of rows, and `var-NAME` for a variable. When all is drawn, body has the attribute data-ready. One query that fails is an
 * error of the page.
 */
import "@fontsource/inter/400.css";
import "@fontsource/inter/500.css";

import { createTheme, type DataFrame, type GrafanaTheme2, ThemeContext } from "@grafana/data";
import { GlobalStyles, Icon, InlineField, InlineFieldRow, Input, PanelChrome } from "@grafana/ui";
import { createRoot } from "react-dom/client";

import type { Board, Panel } from "./board";
import { configured } from "./fields";
import { type Event, readEvents } from "./annotations";
import { Visualization } from "./panels";
import { ask, seriesFrames, type Span, tableFrame } from "./prometheus";
import { type Chosen, chooseAll, interpolate, timing, type Values } from "./variables";

/** Grafana's grid: 24 columns, rows of 30 pixels, 8 between panels. */
const COLUMNS = 24;
const ROW = 30;
const GAP = 8;

interface Filled {
  panel: Panel;
  frames: DataFrame[];
}

async function main(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const span = { from: Number(asked.get("from")) / 1000, to: Number(asked.get("to")) / 1000 };
  const scrapeSeconds = Number(asked.get("scrape"));
  const board: Board = await (await fetch(`./${asked.get("board")}.json`)).json();
  const theme = createTheme({ colors: { mode: "dark" } });
  const chosen = await chooseAll(board, span, asked);
  const values = Object.fromEntries(Object.entries(chosen).map(([name, one]) => [name, one.value]));
  const events = await readEvents(board, span, scrapeSeconds, values);
  const shown = firstSections(board.panels, Number(asked.get("sections") ?? Infinity));
  const filled = await Promise.all(shown.map((panel) => fill(panel, span, scrapeSeconds, values, theme)));
  // Texts are measured while they are drawn.
  await Promise.all(["400 14px Inter", "500 14px Inter"].map((font) => document.fonts.load(font)));
  createRoot(document.getElementById("board")!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Head title={board.title} chosen={Object.values(chosen)} span={span} />
      <Grid filled={filled} events={events} span={span} />
    </ThemeContext.Provider>,
  );
  requestIdleCallback(() => document.body.setAttribute("data-ready", ""));
}

/** All panels of the first rows. */
function firstSections(panels: Panel[], count: number): Panel[] {
  const end = panels.filter((panel) => panel.type === "row")[count];
  return end === undefined ? panels : panels.slice(0, panels.indexOf(end));
}

/** A panel with the results of its queries. */
async function fill(panel: Panel, span: Span, scrape: number, values: Values, theme: GrafanaTheme2): Promise<Filled> {
  const { stepSeconds, words } = timing(panel, span, scrape, place(panel).width);
  const known = { ...values, ...words };
  const found = (panel.targets ?? []).map(async (target) => {
    const step = target.instant ? null : stepSeconds;
    const series = await ask(interpolate(target.expr, known), span, step);
    const named = { ...target, legendFormat: interpolate(target.legendFormat, known) };
    return target.format === "table" ? [tableFrame(series, named)] : seriesFrames(series, named, step);
  });
  const frames = (await Promise.all(found)).flat();
  return { panel, frames: panel.type === "row" ? [] : await configured(frames, panel, theme) };
}

/** Where a panel is, in pixels. */
function place({ gridPos: { x, y, w, h } }: Panel) {
  const column = (document.documentElement.clientWidth - GAP) / COLUMNS;
  return { left: GAP + x * column, top: y * (ROW + GAP), width: w * column - GAP, height: h * (ROW + GAP) - GAP };
}

function Head({ title, chosen, span }: { title: string; chosen: Chosen[]; span: Span }) {
  const day = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10);
  return (
    <header style={{ margin: `${2 * GAP}px ${GAP}px ${GAP}px` }}>
      <h4>
        {title}
        <small style={{ float: "right" }}>
          <Icon name="clock-nine" /> {day(span.from)} to {day(span.to)}
        </small>
      </h4>
      <InlineFieldRow>
        {chosen.map(({ label, text }) => (
          <InlineField key={label} label={label}>
            <Input value={text} width={text.length + 4} readOnly />
          </InlineField>
        ))}
      </InlineFieldRow>
    </header>
  );
}

function Grid({ filled, events, span }: { filled: Filled[]; events: Event[]; span: Span }) {
  const ends = filled.map(({ panel }) => place(panel).top + place(panel).height);
  return (
    <main style={{ position: "relative", height: Math.max(...ends) + GAP }}>
      {filled.map(({ panel, frames }) => (
        <section key={panel.id} style={{ position: "absolute", ...place(panel) }}>
          {panel.type === "row" ? (
            <h5 style={{ lineHeight: `${ROW}px` }}>
              <Icon name="angle-down" /> {panel.title}
            </h5>
          ) : (
            <PanelChrome title={panel.title} description={panel.description} {...size(panel)}>
              {(width: number, height: number) => (
                <Visualization {...{ panel, frames, span, width, height }} events={shownIn(panel, events)} />
              )}
            </PanelChrome>
          )}
        </section>
      ))}
    </main>
  );
}

function shownIn(panel: Panel, events: Event[]): Event[] {
  return events.filter(({ panels }) => panels === undefined || panels.includes(panel.id));
}

function size(panel: Panel): { width: number; height: number } {
  const { width, height } = place(panel);
  return { width, height };
}

void main();

/**
 * The initial values of a board's variables, and expressions with these values.
 *
 * An unknown name throws: Grafana would send it to Prometheus unchanged.
 */
import { dateTime, rangeUtil } from "@grafana/data";

import type { Board, Panel, Variable } from "./board";
import { labelValues, type Span } from "./prometheus";

/** A variable's text at the top of the board, and its value in expressions. */
export interface Chosen {
  label: string;
  text: string;
  value: string;
}

export type Values = Record<string, string>;

/** Each variable by its name, in order; a word in `given` (`var-NAME`, as in Grafana's addresses) has precedence. */
export async function chooseAll(board: Board, span: Span, given: URLSearchParams): Promise<Record<string, Chosen>> {
  const chosen: Record<string, Chosen> = {};
  for (const variable of board.templating.list) {
    const known = Object.fromEntries(Object.entries(chosen).map(([name, one]) => [name, one.value]));
    const word = given.get(`var-${variable.name}`);
    const found = word === null ? await choose(variable, known, span) : { text: word, value: word };
    chosen[variable.name] = { label: variable.label, ...found };
  }
  return chosen;
}

/** All, where it is the default, else the first word or the first label value. */
async function choose(variable: Variable, known: Values, span: Span): Promise<{ text: string; value: string }> {
  if (variable.type === "datasource") {
    return { text: "Prometheus", value: "prometheus" };
  }
  if (variable.current) {
    const { text, value } = variable.current;
    return { text, value: value === "$__all" ? (variable.allValue ?? ".*") : value };
  }
  const [, series = "", label = ""] = /^label_values\((.*), (\w+)\)$/.exec(variable.definition ?? "") ?? [];
  const first = (await labelValues(label, interpolate(series, known), span))[0];
  if (first === undefined) {
    throw new Error(`variable ${variable.name}: no value of ${label} in ${series}`);
  }
  return { text: first, value: first };
}

export function interpolate(text: string, values: Values): string {
  return text.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (whole, braced?: string, plain?: string) => {
    const value = values[braced ?? plain ?? ""];
    if (value === undefined) {
      throw new Error(`unknown variable ${whole} in ${text}`);
    }
    return value;
  });
}

/** The step of a panel's queries, and the words that follow from it and the span, as Grafana calculates them. */
export function timing(panel: Panel | null, span: Span, scrapeSeconds: number, points: number) {
  const range = { from: dateTime(span.from * 1000), to: dateTime(span.to * 1000) };
  const least = panel?.interval ?? `${scrapeSeconds}s`;
  const { interval, intervalMs } = rangeUtil.calculateInterval({ ...range, raw: range }, points, least);
  const stepSeconds = intervalMs / 1000;
  const words: Values = {
    __interval: interval,
    __range: `${span.to - span.from}s`,
    __rate_interval: `${Math.max(stepSeconds + scrapeSeconds, 4 * scrapeSeconds)}s`,
  };
  return { stepSeconds, words };
}

/**
 * Queries the Prometheus that serves this page, and turns its answers into the data frames of Grafana's data source.
 *
 * An answer that is an error or carries a warning throws, since a picture must not hide it.
 */
import { type DataFrame, type Field, FieldType, type Labels, renderLegendFormat } from "@grafana/data";

import type { Target } from "./board";

/** From and to in seconds. */
export interface Span {
  from: number;
  to: number;
}

interface Series {
  metric: Labels;
  value?: [number, string];
  values?: Array<[number, string]>;
}

/** The samples of an expression at the end of a time span, or over it in steps. */
export async function ask(expr: string, span: Span, stepSeconds: number | null): Promise<Series[]> {
  if (stepSeconds === null) {
    return (await get("query", { query: expr, time: span.to })).result;
  }
  // Grafana aligns a range with its step, so that a later query returns the same points.
  const aligned = (seconds: number) => Math.floor(seconds / stepSeconds) * stepSeconds;
  const range = { start: aligned(span.from), end: aligned(span.to), step: stepSeconds };
  return (await get("query_range", { query: expr, ...range })).result;
}

/** The values of a label among some series, in order. */
export async function labelValues(label: string, series: string, span: Span): Promise<string[]> {
  return get(`label/${label}/values`, { "match[]": series, start: span.from, end: span.to });
}

async function get(path: string, chosen: Record<string, string | number>): Promise<any> {
  const words = Object.entries(chosen).map(([name, value]): [string, string] => [name, String(value)]);
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams(words)}`);
  const found = await answer.json();
  if (found.status !== "success" || found.warnings) {
    throw new Error(`${path} ${chosen["query"] ?? ""}: ${found.error ?? found.warnings}`);
  }
  return found.data;
}

/** A frame for each series: its time and its value, called by the target's legend. */
export function seriesFrames(found: Series[], target: Target, stepSeconds: number | null): DataFrame[] {
  return found.map((series) => {
    const samples = samplesOf(series);
    const time = samples.map(([at]) => at * 1000);
    const interval = stepSeconds === null ? {} : { interval: stepSeconds * 1000 };
    const name = renderLegendFormat(target.legendFormat, series.metric);
    return {
      refId: target.refId,
      length: samples.length,
      fields: [
        field("Time", FieldType.time, time, interval),
        {
          ...field("Value", FieldType.number, samples.map(([, value]) => numberOf(value)), { displayNameFromDS: name }),
          labels: series.metric,
        },
      ],
    };
  });
}

/** One frame with a row for each series: time, a column for each label, and the value. */
export function tableFrame(found: Series[], target: Target): DataFrame {
  const labels = [...new Set(found.flatMap((series) => Object.keys(series.metric)))].sort();
  const last = found.map((series) => samplesOf(series).at(-1) ?? [0, "NaN"] as [number, string]);
  const column = (label: string) => found.map((series) => series.metric[label] ?? "");
  return {
    refId: target.refId,
    length: found.length,
    fields: [
      field("Time", FieldType.time, last.map(([at]) => at * 1000)),
      ...labels.map((label) => field(label, FieldType.string, column(label))),
      field(`Value #${target.refId}`, FieldType.number, last.map(([, value]) => numberOf(value))),
    ],
  };
}

function field(name: string, type: FieldType, values: unknown[], config: Field["config"] = {}): Field {
  return { name, type, values, config };
}

export function samplesOf(series: Series): Array<[number, string]> {
  return series.values ?? (series.value ? [series.value] : []);
}

/** Prometheus writes infinity in a way that JavaScript does not read. */
function numberOf(value: string): number {
  return Number(value.replace("Inf", "Infinity"));
}

/**
 * A board's annotations: vertical lines, or bands for events that lasted.
 *
 * Their texts are left out: Grafana shows them under the pointer, and a picture has none.
 */
import type { GrafanaTheme2 } from "@grafana/data";
import type { UPlotConfigBuilder } from "@grafana/ui";
import { useLayoutEffect } from "react";
import type uPlot from "uplot";

import type { Board } from "./board";
import { ask, samplesOf, type Span } from "./prometheus";
import { interpolate, timing, type Values } from "./variables";

/** Milliseconds; a point in time ends where it begins. */
export interface Event {
  from: number;
  to: number;
  color: string;
  panels: number[] | undefined;
  // Undefined: all.
}

const POINTS = 1000;

export async function readEvents(board: Board, span: Span, scrapeSeconds: number, values: Values): Promise<Event[]> {
  const { stepSeconds, words } = timing(null, span, scrapeSeconds, POINTS);
  const found = board.annotations.list.map(async (annotation) => {
    const series = await ask(interpolate(annotation.expr, { ...values, ...words }), span, stepSeconds);
    const spans = series.flatMap((one) =>
      annotation.useValueForTime ? momentsOf(samplesOf(one)) : stretchesOf(samplesOf(one), stepSeconds),
    );
    const { iconColor: color, filter } = annotation;
    return spans.map(([from, to]) => ({ from, to, color, panels: filter?.ids }));
  });
  return (await Promise.all(found)).flat();
}

/** Each value is the time of an event. */
function momentsOf(samples: Array<[number, string]>): Array<[number, number]> {
  return [...new Set(samples.map(([, value]) => Number(value)))].map((at) => [at, at]);
}

/** Samples above 0 that follow on each other are one stretch. */
function stretchesOf(samples: Array<[number, string]>, stepSeconds: number): Array<[number, number]> {
  const stretches: Array<[number, number]> = [];
  for (const at of samples.filter(([, value]) => Number(value) > 0).map(([seconds]) => seconds * 1000)) {
    const last = stretches.at(-1);
    if (last && at - last[1] <= stepSeconds * 1000) {
      last[1] = at;
    } else {
      stretches.push([at, at]);
    }
  }
  return stretches;
}

/** Draws the events into a graph of @grafana/ui. */
export function Annotations({ builder, events, theme }: { builder: UPlotConfigBuilder; events: Event[]; theme: GrafanaTheme2 }) {
  useLayoutEffect(() => {
    builder.addHook("draw", (plot: uPlot) => {
      const { min = 0, max = 0 } = plot.scales["x"] ?? {};
      const shown = events.filter(({ from, to }) => to >= (min ?? 0) && from <= (max ?? 0));
      shown.forEach((event) => draw(plot, event, theme.visualization.getColorByName(event.color)));
    });
  }, [builder, events, theme]);
  return null;
}

function draw({ ctx, bbox, valToPos }: uPlot, { from, to }: Event, color: string): void {
  const [left, right] = [valToPos(from, "x", true), valToPos(to, "x", true)];
  const foot = 5 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = ctx.strokeStyle = color;
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.setLineDash([5 * devicePixelRatio, 5 * devicePixelRatio]);
  for (const x of new Set([left, right])) {
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.beginPath();
  ctx.moveTo(left - foot, bbox.top + bbox.height + foot);
  ctx.lineTo(left, bbox.top + bbox.height);
  ctx.lineTo(right, bbox.top + bbox.height);
  ctx.lineTo(right + foot, bbox.top + bbox.height + foot);
  ctx.fill();
  ctx.globalAlpha = 0.1;
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.restore();
}

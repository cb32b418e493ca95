// A table of any length: only the rows that are seen are in the document. On paper the first ones are.
import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from '@tanstack/virtual-core';
import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

export interface Column {
  readonly title: string;
  /** A track of CSS grid. */
  readonly width: string;
  /** Numbers stand on the right. */
  readonly isNumber?: boolean;
  /** Left out where there is little room. */
  readonly isMinor?: boolean;
  /** Makes the heading a button. */
  readonly sort?: () => void;
  readonly sorted?: 'ascending' | 'descending' | undefined;
}

export interface TableProps {
  readonly label: string;
  readonly columns: readonly Column[];
  readonly count: number;
  readonly rowHeight: number;
  /** The cells of a row, one a column. */
  readonly cells: (row: number) => readonly ComponentChildren[];
  readonly rowKey: (row: number) => string | number;
  readonly isMarked?: (row: number) => boolean;
  readonly onHover?: (row: number | undefined) => void;
  /** Scrolls to a row when it changes. */
  readonly showRow?: number | undefined;
  /** What is said where there is no row. */
  readonly empty: string;
  readonly className?: string;
}

/** Rows that are printed: a kernel's thirty thousand would take a thousand pages. */
const mostPrinted = 200;

function usePrinting(): boolean {
  const [printing, setPrinting] = useState(false);
  useEffect(() => {
    const media = matchMedia('print');
    const change = () => setPrinting(media.matches);
    media.addEventListener('change', change);
    return () => media.removeEventListener('change', change);
  }, []);
  return printing;
}

export function DataTable(props: TableProps) {
  const { label, columns, count, rowHeight, cells, rowKey, isMarked, onHover, showRow, empty } = props;
  const { className = '' } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [, redraw] = useState(0);
  const printing = usePrinting();
  const options = {
    count,
    estimateSize: () => rowHeight,
    getScrollElement: () => scroller.current,
    overscan: 12,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => redraw((times) => times + 1),
  };
  const [virtualizer] = useState(() => new Virtualizer<HTMLDivElement, HTMLDivElement>(options));
  virtualizer.setOptions(options);
  useLayoutEffect(() => virtualizer._didMount(), [virtualizer]);
  useLayoutEffect(() => virtualizer._willUpdate());
  useEffect(() => {
    virtualizer.measure();
  }, [virtualizer, rowHeight]);
  useEffect(() => {
    if (showRow !== undefined && showRow < count) virtualizer.scrollToIndex(showRow, { align: 'auto' });
  }, [virtualizer, showRow, count]);
  const tracks = (of: readonly Column[]) => of.map(({ width }) => width).join(' ');
  const grid = {
    '--columns': tracks(columns),
    '--narrow': tracks(columns.filter(({ isMinor }) => !isMinor)),
  };
  const cellClass = ({ isNumber, isMinor }: Column) =>
    `cell${isNumber ? ' number' : ''}${isMinor ? ' minor' : ''}`;
  const row = (index: number, style: Record<string, string>) => (
    <div
      role="row"
      key={rowKey(index)}
      aria-rowindex={index + 2}
      class={`row${isMarked?.(index) ? ' marked' : ''}`}
      style={style}
      onMouseEnter={onHover && (() => onHover(index))}
      onMouseLeave={onHover && (() => onHover(undefined))}
    >
      {cells(index).map((content, i) => (
        <div role="cell" class={cellClass(columns[i] as Column)} key={i}>
          {content}
        </div>
      ))}
    </div>
  );
  // While a table is scrolled, rows that are there stay as they are.
  const made = useRef<{ readonly of: TableProps; readonly rows: ReadonlyMap<number, VNode> }>(undefined);
  const seenRows = () => {
    const known = made.current?.of === props ? made.current.rows : undefined;
    const rows = new Map<number, VNode>();
    for (const { index, start } of virtualizer.getVirtualItems()) {
      if (index >= count) continue;
      const place = { height: `${rowHeight}px`, transform: `translateY(${start}px)` };
      rows.set(index, known?.get(index) ?? row(index, place));
    }
    made.current = { of: props, rows };
    return [...rows.values()];
  };
  const printed = Math.min(count, mostPrinted);
  return (
    <div
      role="table"
      aria-label={label}
      aria-rowcount={count + 1}
      class={`table ${className}`}
      style={{ ...grid, '--content': `${Math.max(1, count) * rowHeight + 2}px` }}
    >
      <div role="rowgroup" class="head">
        <div role="row" class="row" aria-rowindex={1}>
          {columns.map((column) => (
            <div
              role="columnheader"
              key={column.title}
              class={cellClass(column)}
              aria-sort={column.sort ? (column.sorted ?? 'none') : undefined}
            >
              {column.sort ? (
                <button type="button" class="sort" onClick={column.sort}>
                  {column.title}
                  <span aria-hidden="true" class="arrow">
                    {column.sorted === 'ascending' ? '↑' : column.sorted === 'descending' ? '↓' : ''}
                  </span>
                </button>
              ) : (
                column.title
              )}
            </div>
          ))}
        </div>
      </div>
      {printing ? (
        <div role="rowgroup">
          {Array.from({ length: printed }, (_, i) => row(i, {}))}
          {count > printed && (
            <div role="row" class="row">
              <div role="cell" class="cell">
                and {count - printed} more
              </div>
            </div>
          )}
        </div>
      ) : (
        <div role="rowgroup" class="scroller" ref={scroller} tabIndex={0} aria-label={`${label}, rows`}>
          {count === 0 && (
            <div role="row" class="row empty">
              <div role="cell">{empty}</div>
            </div>
          )}
          <div role="presentation" class="sizer" style={{ height: `${virtualizer.getTotalSize()}px` }}>
            {seenRows()}
          </div>
        </div>
      )}
    </div>
  );
}

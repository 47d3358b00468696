// The tables of the booking service and the seats that are for sale. Owns their size; who books what is the service's business.

import type pg from 'pg';

export const SEATS_PER_FLIGHT = 60;

/** More than can be sold in so many seconds. */
export function flightsFor(seconds: number): number {
  return 60 + seconds * 40;
}

export async function createTables(client: pg.Client, flights: number): Promise<void> {
  await client.query(`
    create table flights  (flight int primary key,
                           sold int not null default 0 check (sold between 0 and ${SEATS_PER_FLIGHT}));
    create table seats    (flight int references flights, seat int, price int not null,
                           primary key (flight, seat));
    create table bookings (booking bigint generated always as identity primary key,
                           flight int not null, seat int not null,
                           customer text not null, request text not null,
                           foreign key (flight, seat) references seats,
                           unique (flight, seat));
    create table payments (booking bigint primary key references bookings, amount int not null);
    insert into flights select generate_series(1, ${flights});
    insert into seats select flight, seat, 50 + seat from flights, generate_series(1, ${SEATS_PER_FLIGHT}) seat;
    analyze flights, seats`);
}

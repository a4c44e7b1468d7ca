"""What is kept in PostgreSQL, and the functions that change it: each verb is one of them, in one transaction.

A change takes the lock of the only row of ``state``, so changes come one after the other, and revisions in the order
of their commits. Whoever has the lock removes the leases that have lapsed before anything else, so nobody ever sees a
lapsed lease own something.
"""

LAYOUT = 1
"""The number of this layout; nodes that know another one must not change this one."""

CREATE = f"""
select pg_advisory_xact_lock(hashtext('trioakt'));
do $$ begin
    if to_regnamespace('trioakt') is null then  -- or it takes the right to create one even where it is there
        create schema trioakt;
    end if;
end $$;

create table if not exists trioakt.state (
    layout integer not null, revision bigint not null, history bigint not null default 10000);
insert into trioakt.state (layout, revision) select {LAYOUT}, 0 where not exists (select from trioakt.state);

create table if not exists trioakt.leases (id uuid primary key, ttl interval not null, expires timestamptz not null);

create table if not exists trioakt.keys (
    key bytea primary key, value bytea not null, token bigint not null, lease uuid);
create index if not exists keys_lease on trioakt.keys (lease) where lease is not null;

create table if not exists trioakt.log (
    revision bigint, key bytea, value bytea, token bigint, primary key (revision, key));

-- Count a change, forget the oldest, and wake who watches. The caller has the turn.
create or replace function trioakt.next_revision() returns bigint language plpgsql as $$
declare
    latest bigint;
    oldest bigint;
begin
    update trioakt.state set revision = revision + 1 returning revision, revision - history into latest, oldest;
    delete from trioakt.log where revision <= oldest;
    notify trioakt;
    return latest;
end $$;

-- Remove what was created under leases that are there no more, in one revision. The caller has the turn.
create or replace function trioakt.remove(dead uuid[]) returns void language plpgsql as $$
declare
    latest bigint;
begin
    if exists (select from trioakt.keys where lease = any(dead)) then
        latest := trioakt.next_revision();
        with removed as (delete from trioakt.keys where lease = any(dead) returning key)
        insert into trioakt.log (revision, key) select latest, key from removed;
    end if;
end $$;

-- Wait for one's turn to change something. A lease whose row is locked is being renewed, so it has not lapsed.
create or replace function trioakt.take_turn() returns void language plpgsql as $$
declare
    dead uuid[];
begin
    perform from trioakt.state for update;
    with lapsed as (
        select id from trioakt.leases where expires <= clock_timestamp() for update skip locked
    ), gone as (
        delete from trioakt.leases using lapsed where leases.id = lapsed.id returning leases.id
    )
    select array_agg(id) into dead from gone;
    perform trioakt.remove(dead);
end $$;

create or replace function trioakt.expire() returns void language plpgsql as $$
begin
    if exists (select from trioakt.leases where expires <= clock_timestamp()) then
        perform trioakt.take_turn();
    end if;
end $$;

create or replace function trioakt.revoke(dead uuid) returns void language plpgsql as $$
begin
    perform trioakt.take_turn();
    delete from trioakt.leases where id = dead;
    perform trioakt.remove(array[dead]);
end $$;

-- The winner, or null if the lease is lost.
create or replace function trioakt.create_key(
    the_key bytea, the_value bytea, the_lease uuid, out won boolean, out held_by bigint
) language plpgsql as $$
begin
    perform trioakt.take_turn();
    if the_lease is not null
        and not exists (select from trioakt.leases where id = the_lease and expires > clock_timestamp()) then
        return;
    end if;
    select token into held_by from trioakt.keys where key = the_key;
    won := not found;
    if won then
        held_by := trioakt.next_revision();
        insert into trioakt.keys values (the_key, the_value, held_by, the_lease);
        insert into trioakt.log values (held_by, the_key, the_value, held_by);
    end if;
end $$;

create or replace function trioakt.put_guarded(the_key bytea, the_value bytea, the_token bigint)
returns boolean language plpgsql as $$
begin
    perform trioakt.take_turn();
    update trioakt.keys set value = the_value where key = the_key and token = the_token;
    if not found then
        return false;
    end if;
    insert into trioakt.log values (trioakt.next_revision(), the_key, the_value, the_token);
    return true;
end $$;

create or replace function trioakt.delete_key(the_key bytea, the_token bigint) returns boolean language plpgsql as $$
begin
    perform trioakt.take_turn();
    delete from trioakt.keys where key = the_key and token = the_token;
    if not found then
        return false;
    end if;
    insert into trioakt.log (revision, key) values (trioakt.next_revision(), the_key);
    return true;
end $$;

-- The keys from first to below last, beside the revision; one row without a key if there are none.
create or replace function trioakt.list_keys(first bytea, last bytea)
returns table (latest bigint, the_key bytea, the_value bytea, the_token bigint) language plpgsql as $$
begin
    perform trioakt.expire();
    return query select revision, key, value, token
        from trioakt.state left join trioakt.keys
            on key >= first and (last is null or key < last) order by key;
end $$;

-- What the next hundred revisions have changed, beside the last of them and whether there are more; one row without a
-- key if nothing. It is not known if some of them are forgotten, or have not been.
create or replace function trioakt.list_changes(first bytea, last bytea, since bigint)
returns table (
    is_known boolean, is_last boolean, latest bigint,
    changed_in bigint, the_key bytea, the_value bytea, the_token bigint
) language plpgsql as $$
begin
    perform trioakt.expire();
    return query
        select since between state.revision - history and state.revision, state.revision <= since + 100,
            least(state.revision, since + 100), log.revision, key, value, token
        from trioakt.state left join trioakt.log
            on log.revision > since and log.revision <= since + 100 and key >= first and (last is null or key < last)
        order by log.revision, key;
end $$;
"""

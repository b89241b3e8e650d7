{#- Events in the layout of a vendor's warehouse. An entry of the variables `segment_sources` and
    `rudderstack_sources` names a source, its tables, and the columns that it calls otherwise or lacks. -#}

{#- Whether there are sources of events at all. Without one, the models over them do not exist. -#}
{% macro has_events() -%}
{{ return(var('segment_sources') | length + var('rudderstack_sources') | length > 0) }}
{%- endmacro %}

{#- Pairs of entry and table, of those tables that the sources of a layout have. If there is none, one
    pair without an entry: it gives the columns and no rows. -#}
{% macro tables_of(layout, tables) -%}
{%- set known = ['tracks', 'pages', 'screens', 'identifies', 'groups', 'aliases', 'order_completed'] -%}
{%- set found = [] -%}
{%- for entry in var(layout ~ '_sources') -%}
    {%- for key in entry if key not in ['source', 'tables', 'columns'] -%}
        {{ exceptions.raise_compiler_error("`" ~ key ~ "` in `" ~ layout ~ "_sources` is none of `source`, `tables` and `columns`") }}
    {%- endfor -%}
    {%- for table in entry.tables if table not in known -%}
        {{ exceptions.raise_compiler_error("`" ~ table ~ "` in `" ~ layout ~ "_sources` is none of the tables " ~ known | join(", ")) }}
    {%- endfor -%}
    {%- for table in tables if table in entry.tables -%}
        {%- do found.append([entry, table]) -%}
    {%- endfor -%}
{%- endfor -%}
{{ return(found if found else [[none, tables[0]]]) }}
{%- endmacro %}

{#- A column of a table. An entry's `columns` says under which name: `table.column` or `column`, null if the
    table has none. What is not `expected` is there only if it is named; `true` stands for the same name. -#}
{% macro source_column(entry, table, name, type='VARCHAR', expected=true) -%}
{%- set columns = (entry or {}).get('columns', none) or {} -%}
{%- set column = columns.get(table ~ '.' ~ name, columns.get(name, name if expected else none)) -%}
{%- if column is true -%}
    {%- set column = name -%}
{%- endif -%}
{%- if entry is none or column is none -%}
CAST(NULL AS {{ type }})
{%- else -%}
CAST("{{ column }}" AS {{ type }})
{%- endif -%}
{%- endmacro %}

{% macro source_time(entry, table, name, expected=true) -%}
{{ utc(source_column(entry, table, name, 'TIMESTAMP', expected)) }}
{%- endmacro %}

{% macro rows_of(entry, table) -%}
{%- if entry is none -%}
WHERE FALSE
{%- else -%}
FROM {{ source(entry.source, table) }}
WHERE {{ source_column(entry, table, 'id') }} IS NOT NULL
{%- endif -%}
{%- endmacro %}

{#- An identifier, or null for what programs write where they know none: those join strangers. The variable
    `blocked_identifiers` adds words, in lower case. -#}
{% macro identifier(expression) -%}
{%- set blocked = [
    '-1', '[object object]', 'anonymous', 'false', 'guest', 'n/a', 'na', 'nan', 'nil', 'none', 'null', 'true',
    'undefined', 'unknown',
] + var('blocked_identifiers', []) -%}
CASE
    WHEN regexp_like(trim({{ expression }}), '^[0-]*$') THEN NULL
    WHEN lower(trim({{ expression }})) IN ({% for word in blocked %}'{{ word | replace("'", "''") }}'{{ ", " if not loop.last }}{% endfor %}) THEN NULL
    ELSE trim({{ expression }})
END
{%- endmacro %}

{#- What every call has. It happened when the vendor's clock-corrected `timestamp` says, yet not after it was
    received: a device whose clock is wrong cannot put an event into the future. -#}
{% macro message_columns(entry, layout, table) -%}
{%- set received_at = 'coalesce(' ~ source_time(entry, table, 'received_at') ~ ', ' ~ source_time(entry, table, 'sent_at') ~ ')' -%}
{{ source_column(entry, table, 'id') }} AS message_id,
    '{{ layout }}' AS layout,
    '{{ entry.source if entry is not none }}' AS source_name,
    {{ identifier(source_column(entry, table, 'anonymous_id')) }} AS anonymous_id,
    {{ identifier(source_column(entry, table, 'user_id')) }} AS user_id,
    least(
        coalesce(
            {{ source_time(entry, table, 'timestamp') }},
            {{ source_time(entry, table, 'original_timestamp') }},
            {{ source_time(entry, table, 'sent_at') }},
            {{ source_time(entry, table, 'received_at') }}
        ),
        {{ received_at }}
    ) AS occurred_at,
    {{ received_at }} AS received_at
{%- endmacro %}

{#- Calls of track, page and screen. -#}
{% macro event_rows(layout) -%}
{%- set context_email = layout == 'rudderstack' -%}
{%- for entry, table in tables_of(layout, ['tracks', 'pages', 'screens']) -%}
{%- set on_web = table != 'screens' -%}
{{ "\nUNION ALL\n" if not loop.first -}}
SELECT
    {{ message_columns(entry, layout, table) }},
    '{{ table[:-1] }}' AS type,
    {{ source_column(entry, table, 'event', expected=table == 'tracks') }} AS event,
    {{ source_column(entry, table, 'event_text' if table == 'tracks' else 'name') }} AS name,
    {{ normalize_email(source_column(entry, table, 'context_traits_email', expected=context_email)) }} AS email,
    {%- for part in ['path', 'url', 'title', 'referrer'] %}
    {%- if table == 'pages' %}
    coalesce({{ source_column(entry, table, part) }}, {{ source_column(entry, table, 'context_page_' ~ part) }}) AS page_{{ part }},
    {%- else %}
    {{ source_column(entry, table, 'context_page_' ~ part, expected=on_web) }} AS page_{{ part }},
    {%- endif %}
    {%- endfor %}
    {%- for ours, theirs in [('source', 'source'), ('medium', 'medium'), ('campaign', 'name'), ('term', 'term'), ('content', 'content')] %}
    {{ clean_text(source_column(entry, table, 'context_campaign_' ~ theirs, expected=on_web)) }} AS utm_{{ ours }},
    {%- endfor %}
    {{ source_column(entry, table, 'context_locale') }} AS locale,
    {{ source_column(entry, table, 'context_timezone', expected=false) }} AS time_zone,
    {{ source_column(entry, table, 'context_user_agent', expected=on_web) }} AS user_agent,
    {{ source_column(entry, table, 'context_device_type', expected=not on_web) }} AS device_type,
    {{ source_column(entry, table, 'context_os_name', expected=not on_web) }} AS os_name,
    {{ source_column(entry, table, 'context_app_name', expected=not on_web) }} AS app_name
{{ rows_of(entry, table) }}
{%- endfor -%}
{%- endmacro %}

{#- Calls of identify. Of traits, empty text stays: it may mean that the person has none any more. -#}
{% macro identify_rows(layout) -%}
{%- for entry, table in tables_of(layout, ['identifies']) -%}
{{ "\nUNION ALL\n" if not loop.first -}}
SELECT
    {{ message_columns(entry, layout, table) }},
    {%- for trait in identify_traits() %}
    trim({{ source_column(entry, table, trait, expected=trait in ['email', 'first_name', 'last_name']) }}) AS {{ trait }}{{ "," if not loop.last }}
    {%- endfor %}
{{ rows_of(entry, table) }}
{%- endfor -%}
{%- endmacro %}

{% macro identify_traits() -%}
{{ return(['email', 'phone', 'first_name', 'last_name', 'name', 'company', 'title', 'city', 'country', 'birthday', 'gender', 'plan']) }}
{%- endmacro %}

{#- Calls of group: who belongs to which account, and what the account is like. -#}
{% macro group_rows(layout) -%}
{%- for entry, table in tables_of(layout, ['groups']) -%}
{{ "\nUNION ALL\n" if not loop.first -}}
SELECT
    {{ message_columns(entry, layout, table) }},
    {{ identifier(source_column(entry, table, 'group_id')) }} AS group_id,
    {{ clean_text(source_column(entry, table, 'name')) }} AS name,
    {{ clean_text(source_column(entry, table, 'industry', expected=false)) }} AS industry,
    {{ clean_text(source_column(entry, table, 'website', expected=false)) }} AS website,
    {{ clean_text(source_column(entry, table, 'plan', expected=false)) }} AS plan,
    {{ source_column(entry, table, 'employees', 'BIGINT', expected=false) }} AS employees
{{ rows_of(entry, table) }}
{%- endfor -%}
{%- endmacro %}

{#- Calls of alias: two ids of one person. -#}
{% macro alias_rows(layout) -%}
{%- for entry, table in tables_of(layout, ['aliases']) -%}
{{ "\nUNION ALL\n" if not loop.first -}}
SELECT
    {{ message_columns(entry, layout, table) }},
    {{ identifier(source_column(entry, table, 'previous_id')) }} AS previous_id
{{ rows_of(entry, table) }}
{%- endfor -%}
{%- endmacro %}

{#- Orders: the table of the event Order Completed of the vendors' common specification for shops. -#}
{% macro order_rows(layout) -%}
{%- for entry, table in tables_of(layout, ['order_completed']) -%}
{{ "\nUNION ALL\n" if not loop.first -}}
SELECT
    {{ message_columns(entry, layout, table) }},
    {{ clean_text(source_column(entry, table, 'order_id')) }} AS order_id,
    {{ normalize_email(source_column(entry, table, 'email', expected=false)) }} AS email,
    coalesce(
        {{ source_column(entry, table, 'total', var('amount_type')) }},
        {{ source_column(entry, table, 'revenue', var('amount_type')) }}
    ) AS amount,
    upper({{ clean_text(source_column(entry, table, 'currency')) }}) AS currency,
    {{ clean_text(source_column(entry, table, 'coupon', expected=false)) }} AS coupon
{{ rows_of(entry, table) }}
{%- endfor -%}
{%- endmacro %}

{#- Whether a source has this layout. -#}
{% macro has_layout(layout) -%}
{{ return(var(layout ~ '_sources') | length > 0) }}
{%- endmacro %}

{#- The rows of the layouts that there are, each message once. The first delivery counts, so that a duplicate changes nothing
    however late it comes; `deliveries` and `last_received_at` say that it came. `order_by` decides between
    deliveries of one time. -#}
{% macro each_once(name, order_by) -%}
{%- set layouts = [] -%}
{%- for layout in ['segment', 'rudderstack'] if has_layout(layout) -%}
    {%- do layouts.append(layout) -%}
{%- endfor -%}
WITH delivered AS (
    {%- for layout in layouts %}
    SELECT * FROM {{ ref(layout ~ '_' ~ name) }}
    {{- "\n    UNION ALL" if not loop.last }}
    {%- endfor %}
)

SELECT
    *,
    count(*) OVER (PARTITION BY message_id) AS deliveries,
    max(received_at) OVER (PARTITION BY message_id) AS last_received_at
FROM delivered
QUALIFY row_number() OVER (
    PARTITION BY message_id
    ORDER BY received_at NULLS LAST, layout, source_name, occurred_at, anonymous_id, user_id, {{ order_by }}
) = 1
{%- endmacro %}

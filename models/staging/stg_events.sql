{#- Calls of track, page and screen, each once. -#}
{{ config(materialized='table', enabled=has_events()) }}
{{ each_once('events', order_by='type, event, name, page_url, email') }}

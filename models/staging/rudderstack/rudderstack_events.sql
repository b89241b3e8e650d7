{#- The calls of track, page and screen in RudderStack's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('rudderstack')) }}
{{ event_rows('rudderstack') }}

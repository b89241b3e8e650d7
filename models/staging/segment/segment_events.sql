{#- The calls of track, page and screen in Segment's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('segment')) }}
{{ event_rows('segment') }}

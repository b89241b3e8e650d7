{#- The calls of alias in Segment's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('segment')) }}
{{ alias_rows('segment') }}

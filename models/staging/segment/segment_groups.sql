{#- The calls of group in Segment's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('segment')) }}
{{ group_rows('segment') }}

{#- The calls of identify in Segment's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('segment')) }}
{{ identify_rows('segment') }}

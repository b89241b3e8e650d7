{#- The golden value of each attribute, with the claim that it comes from. -#}
{{ config(materialized='table', enabled=has_events()) }}
{{ golden_values(ref('person_claims'), var('golden_attributes'), clears=var('golden_clears')) }}

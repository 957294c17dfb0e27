/* Unbinding of v5.15: the IPI reads mm->pasid again, so the number must be gone from there before it is sent. */
static void iommu_sva_unbind_device(struct mm_struct *mm, u32 pasid)
{
	mutex_lock(&pasid_mutex);
	if (detach_device_pasid(pasid)) {
		intel_iommu_drain_pasid_prq(pasid);
#ifdef CONFIG_FIXED
		unpublish(mm);
		load_pasid(mm);
#else
		load_pasid(mm);
		unpublish(mm);
#endif
		ioasid_free(pasid);
		mmdrop(mm);
	}
	mutex_unlock(&pasid_mutex);
}
